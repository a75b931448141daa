import type { AttributeDefinition, ExtensionDefinition } from '#domain';
import type { AttributeSchema } from '#events';
import { Refused } from '../http/refused.js';
import type { AttributeSchemaBody, BusinessAttributeBody, ProfileExtensionBody } from './bodies.js';

/** Throws `Refused` for a name in the body that is not that of the URL. */
export function attributeDefinition(name: string, body: BusinessAttributeBody): AttributeDefinition {
  if (body.name !== undefined && body.name !== name) {
    throw new Refused('invalid', `name in the body is '${body.name}', in the path '${name}'`);
  }
  return { ...body, name };
}

/** Throws `Refused` for an attribute that is to be encrypted. */
export const extensionDefinition = ({ attributes, ...body }: ProfileExtensionBody): ExtensionDefinition => ({
  ...body,
  ...(attributes && { attributes: attributes.map(attributeSchema) }),
});

function attributeSchema({ encrypt, ...schema }: AttributeSchemaBody): AttributeSchema {
  if (encrypt) throw new Refused('invalid', `encrypt of ${schema.name} must be false: values are not encrypted here`);
  return schema;
}
