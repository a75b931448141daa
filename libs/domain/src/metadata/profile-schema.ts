import type { AttributeSchema, BusinessAttribute } from '#events';
import type { AttributeDefinition } from './commands.js';
import { caseless, type Metadata } from './metadata.js';

/** The business attribute whose values are the core attributes of profiles (contract 6.1; 0.3, 21). */
export const CONTACT_ATTRIBUTES = 'ContactAttributes';

/** Characters that a core attribute of type `string` holds (contract 6.2). */
const coreTextLength = 256;

/** The core attributes of a fresh installation; the last three are the product's internal ones (contract 6.1). */
export const defaultContactAttributes: AttributeDefinition = {
  name: CONTACT_ATTRIBUTES,
  display_name: 'Contact Attributes',
  description: 'Core attributes of customer profiles',
  values: [
    { name: 'FirstName', display_name: 'First Name' },
    { name: 'LastName', display_name: 'Last Name' },
    { name: 'Title' },
    { name: 'PhoneNumber', display_name: 'Phone Number' },
    { name: 'EmailAddress', display_name: 'E-mail Address' },
    { name: 'PIN' },
    { name: 'CustomerSegment', display_name: 'Customer Segment' },
    { name: 'AccountNumber', display_name: 'Account Number' },
    { name: 'ContactId', display_name: 'Contact Id' },
    { name: 'DOB', display_name: 'Date of Birth', type: 'date' },
    { name: 'Cellular' },
    { name: 'Group' },
    { name: 'LastCalledAgent_EmployeeID' },
    { name: 'LastCalledAgent_TimeStamp', type: 'date' },
    { name: 'PreferredAgent_EmployeeID' },
  ],
};

/** The core attributes, in the order in which the business attribute lists them (contract 6.2, C1). */
export const profileSchema = (metadata: Metadata): readonly AttributeSchema[] =>
  coreAttributes(metadata.businessAttributes.get(CONTACT_ATTRIBUTES));

/**
 * Whether profiles can be served. Somebody has to take the schema away: by a `ContactAttributes` without values, or by
 * its deletion (contract 0.3, 12). Before the first record nobody has.
 */
export const hasProfileSchema = (metadata: Metadata): boolean =>
  !metadata.initialized || profileSchema(metadata).length > 0;

export const coreAttributes = (contact: BusinessAttribute | undefined): readonly AttributeSchema[] =>
  (contact?.values ?? []).map(({ name, type = 'string' }) => ({
    name,
    type,
    ...(type === 'string' && { length: coreTextLength }),
  }));

/** The attribute of this name, in any case of letters. */
export const attributeNamed = (attributes: readonly AttributeSchema[], name: string): AttributeSchema | undefined =>
  attributes.find((attribute) => caseless(attribute.name) === caseless(name));
