import type { EnumeratedValues } from '../metadata/enumerated.js';
import type { ServiceCommand } from './commands.js';

/**
 * The command with its enumerated values as events hold them, and the default type where something starts without one
 * (contract 0.3, 13). Throws `Rejected` for a value that cannot be held.
 */
export function withDbids(command: ServiceCommand, values: EnumeratedValues): ServiceCommand {
  if (values.areAsSent) return command;
  const { type, data } = command;
  switch (type) {
    case 'StartService':
      return { ...command, data: values.started('Service', data) };
    case 'AssociateService':
      return { ...command, data: values.stored('Service', data) };
    case 'EndService':
      return { ...command, data: values.stored('Service', data) };
    case 'StartState':
      return { ...command, data: values.started('State', data) };
    case 'EndState':
      return { ...command, data: values.stored('State', data) };
    case 'TransitionState':
      return {
        ...command,
        data: {
          ...values.stored('State', data),
          from: values.stored('State', data.from),
          to: values.started('State', data.to),
        },
      };
    case 'StartTask':
      return { ...command, data: values.started('Task', data) };
    case 'EndTask':
      return { ...command, data: values.stored('Task', data) };
    // Steps of a composite start: its elements were converted as a whole.
    case 'UpdateService':
    case 'FindOrStartState':
    case 'FindOrStartTask':
    case 'DeleteService':
    case 'ChangeExpiration':
    case 'ReplaceExtension':
    case 'MergeExtension':
      return command;
  }
}
