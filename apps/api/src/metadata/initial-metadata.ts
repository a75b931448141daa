import { readFileSync } from 'node:fs';
import { decideMetadata, noMetadata, Rejected, type MetadataCommand } from '#domain';
import { BadOptions } from '#operations';
import { readJson } from '../http/json-body.js';
import { Refused } from '../http/refused.js';
import { MetadataFileBody, readMetadata, type BusinessAttributeBody } from './bodies.js';
import { attributeDefinition, extensionDefinition } from './from-body.js';

/** The command that a tenant's metadata begins with. */
export type InitializeMetadata = Extract<MetadataCommand, { type: 'InitializeMetadata' }>;

/**
 * What a new installation begins with: the content of the file that the option names, the defaults without one. Read at
 * every start, so that a file that could not be used is noticed before it is needed. Throws `BadOptions`.
 */
export function initialMetadata({ metadataFile }: { readonly metadataFile: string }): InitializeMetadata {
  if (metadataFile === '') return { type: 'InitializeMetadata', data: {} };
  try {
    const bytes = readFileSync(metadataFile);
    const file = readMetadata(MetadataFileBody, readJson({ bytes }, []) ?? {});
    const command: InitializeMetadata = {
      type: 'InitializeMetadata',
      data: {
        business_attributes: (file.business_attributes ?? []).map(namedAttribute),
        profile_extensions: (file.profile_extensions ?? []).map(extensionDefinition),
        identification_keys: file.identification_keys ?? [],
      },
    };
    decideMetadata(command, noMetadata);
    return command;
  } catch (error) {
    throw new BadOptions(`CS_METADATA_FILE=${metadataFile}: ${reasonOf(error)}`, { cause: error });
  }
}

function namedAttribute(body: BusinessAttributeBody, place: number) {
  if (body.name === undefined) throw new Refused('invalid', `business_attributes[${place}].name is missing`);
  return attributeDefinition(body.name, body);
}

function reasonOf(error: unknown): string {
  if (error instanceof Refused || error instanceof Rejected) return error.message.replace(/^The body/, 'the file');
  const isOfTheSystem = typeof error === 'object' && error !== null && 'syscall' in error && 'code' in error;
  if (isOfTheSystem) return `must be a file that can be read (${String(error.code)})`;
  throw error;
}
