import type { AttributeSchema, ProfileExtensionSchema } from '#events';

/** A value as a caller defines it; what is missing is given or made up. */
export interface ValueDefinition {
  readonly name: string;
  readonly dbid?: number;
  readonly display_name?: string;
  readonly description?: string;
  readonly default?: boolean;
  readonly expiration?: string;
  readonly type?: string;
}

/** A business attribute as a caller defines it, as a whole. */
export interface AttributeDefinition {
  readonly name: string;
  readonly dbid?: number;
  readonly display_name?: string;
  readonly description?: string;
  readonly map_name?: boolean;
  /** In either spelling (contract 10.2). */
  readonly cv_attributes?: readonly string[];
  readonly values?: readonly ValueDefinition[];
}

export interface ExtensionDefinition {
  readonly name: string;
  readonly type: ProfileExtensionSchema['type'];
  readonly attributes?: readonly AttributeSchema[];
  readonly unique?: readonly string[];
}

export interface KeyDefinition {
  readonly name: string;
  readonly source?: string;
  /** Bare names, or `<extension>.<name>`. */
  readonly attributes: readonly string[];
  readonly unique?: boolean;
}

/** What an installation brings at its first start. */
export interface InitialMetadata {
  readonly business_attributes?: readonly AttributeDefinition[];
  readonly profile_extensions?: readonly ExtensionDefinition[];
  readonly identification_keys?: readonly KeyDefinition[];
}

/** What the metadata of a tenant can be asked to do. */
export type MetadataCommand =
  /** The first of every tenant; answered without a record when the metadata is there already. */
  | { readonly type: 'InitializeMetadata'; readonly data: InitialMetadata }
  | { readonly type: 'DefineBusinessAttribute'; readonly data: AttributeDefinition }
  | { readonly type: 'DeleteBusinessAttribute'; readonly data: { readonly name: string } }
  | { readonly type: 'CreateProfileExtensionSchema'; readonly data: ExtensionDefinition }
  | { readonly type: 'DeleteProfileExtensionSchema'; readonly data: { readonly name: string } }
  | { readonly type: 'CreateIdentificationKey'; readonly data: KeyDefinition }
  | { readonly type: 'DeleteIdentificationKey'; readonly data: { readonly name: string } };
