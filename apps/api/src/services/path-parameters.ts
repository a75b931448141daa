import type { ArgumentMetadata, PipeTransform } from '@nestjs/common';
import { Refused } from '../http/refused.js';
import { isReserved, refuseLongName } from './bodies.js';
import { MOST_BYTES } from './fields.js';

/** A customer id or contact key in the path (contract 0.3, 15). */
export class Bounded implements PipeTransform<string, string> {
  transform(value: string, { data }: ArgumentMetadata): string {
    if (Buffer.byteLength(value, 'utf8') <= MOST_BYTES) return value;
    throw new Refused('invalid', `${data} must be of at most ${MOST_BYTES} bytes`);
  }
}

/** The name of an extension in the path: none of those that the contract gives a meaning to. */
export class ExtensionName implements PipeTransform<string, string> {
  transform(name: string): string {
    refuseLongName(name);
    if (!isReserved(name)) return name;
    throw new Refused('invalid', `${name} is a field of the contract: it cannot be the name of an extension`);
  }
}
