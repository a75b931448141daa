import type {
  Activity,
  Disposition,
  ExtensionOwner,
  Json,
  Lifetime,
  ServiceChange,
  ServiceStart,
  StateStart,
  TaskStart,
  WithExtensions,
} from '#events';
import type { Rejected } from '../rejected.js';

/** What comes with a command beside its data. */
export interface CommandTerms {
  /** Explicit lifetime from the body (contract 9); a start always has one. */
  readonly lifetime?: Lifetime;
  /** Why it cannot be recorded; a repeat of what was recorded before is answered nevertheless. */
  readonly refusal?: Rejected;
}

interface Command<Type extends string, Data> extends CommandTerms {
  readonly type: Type;
  readonly data: Data;
}

/** What a composite start looks for, where that is not simply the type it would start. */
export interface Sought {
  /** Every text that means the wanted type; missing, the type is not compared. */
  readonly types?: readonly string[];
}

/** Ids, times and defaults are already in: decisions are repeatable. */
export type ServiceCommand =
  | (Command<'StartService', ServiceStart> & { readonly lifetime: Lifetime })
  /** `contact_key`: replaces that of the service; missing, it stays. */
  | Command<'AssociateService', ServiceChange & { readonly customer_id: string; readonly contact_key?: string }>
  /** Composite start on a service that it found. */
  | Command<'UpdateService', ServiceChange>
  | Command<'EndService', Activity & Disposition & WithExtensions & { readonly service_id: string }>
  | Command<'DeleteService', { readonly service_id: string }>
  | (Command<'ChangeExpiration', { readonly service_id: string }> & { readonly lifetime: Lifetime })
  | Command<'StartState', StateStart>
  /** Composite start: an active state of this type (a missing type is not compared), else a new one with the given id. */
  | (Command<'FindOrStartState', StateStart> & { readonly sought?: Sought })
  | Command<
      'EndState',
      Activity & Disposition & WithExtensions & { readonly service_id: string; readonly state_id: string }
    >
  | Command<
      'TransitionState',
      Activity & {
        readonly service_id: string;
        readonly from: Disposition & WithExtensions & { readonly state_id: string };
        /** `state_id`: of the state to be started. */
        readonly to: WithExtensions & Pick<StateStart, 'state_id' | 'state_type' | 'est_duration'>;
      }
    >
  | Command<'StartTask', TaskStart>
  | (Command<'FindOrStartTask', TaskStart> & { readonly sought?: Sought })
  | Command<
      'EndTask',
      Activity & Disposition & WithExtensions & { readonly service_id: string; readonly task_id: string }
    >
  | Command<'ReplaceExtension', ExtensionOwner & { readonly name: string; readonly value: Json }>
  | Command<
      'MergeExtension',
      ExtensionOwner & { readonly name: string; readonly value: { readonly [name: string]: Json } }
    >;
