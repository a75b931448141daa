import type { Json } from './json.js';

/** What a running server is for: service and profile data, or changes of its metadata (contract 1.5). */
export type Mode = 'production' | 'maintenance';

interface Event<Type extends string, Data> {
  readonly type: Type;
  readonly data: Data;
}

/** All gates close. Whoever switches (`process`, or the process that finishes for it) opens `epoch` with `ModeSwitched`. */
export type ModeSwitchStarted = Event<
  'ModeSwitchStarted',
  { readonly target: Mode; readonly epoch: number; readonly process: string }
>;

/** The fences of `epoch` are in every partition: gates open in this mode. */
export type ModeSwitched = Event<'ModeSwitched', { readonly mode: Mode; readonly epoch: number }>;

/** This process answers nothing any more that was asked before the switch to `epoch` began. */
export type ProcessDrained = Event<'ProcessDrained', { readonly process: string; readonly epoch: number }>;

export type ModeEvent = ModeSwitchStarted | ModeSwitched | ProcessDrained;

/** One value of a business attribute (contract 3.7; 0.3, 21). */
export interface BusinessAttributeValue {
  readonly name: string;
  readonly dbid: number;
  readonly display_name: string;
  readonly description: string;
  readonly default?: boolean;
  /** Lifetime of new services of this type, a number and a letter: `2w`. */
  readonly expiration?: string;
  /** Of `ContactAttributes`: what the core attribute holds. */
  readonly type?: 'string' | 'date';
}

/** A list of named values, and the fields of services, states and tasks that are mapped on it (contract 3.7, 10.2). */
export interface BusinessAttribute {
  readonly name: string;
  readonly dbid: number;
  readonly display_name: string;
  readonly description: string;
  readonly map_name?: boolean;
  readonly cv_attributes?: readonly string[];
  readonly values: readonly BusinessAttributeValue[];
}

/** Contract 6.2. */
export interface AttributeSchema {
  readonly name: string;
  readonly type: string;
  readonly length?: number;
  readonly default?: Json;
  readonly mandatory?: boolean;
}

/** Contract 6.3. */
export interface ProfileExtensionSchema {
  readonly name: string;
  readonly type: 'single-valued' | 'multi-valued';
  readonly attributes: readonly AttributeSchema[];
  readonly unique: readonly string[];
}

/** Contract 6.4. `attributes` are bare names here; answers prefix those of an extension. */
export interface IdentificationKey {
  readonly name: string;
  /** `profile`, or the name of an extension as its schema spells it. */
  readonly source: string;
  readonly attributes: readonly string[];
  readonly unique: boolean;
}

/** The first record of a tenant's metadata: the defaults, or what the installation brought. */
export type MetadataInitialized = Event<
  'MetadataInitialized',
  {
    readonly business_attributes: readonly BusinessAttribute[];
    readonly profile_extensions: readonly ProfileExtensionSchema[];
    readonly identification_keys: readonly IdentificationKey[];
  }
>;
/** New, or changed as a whole; every DBID is given. */
export type BusinessAttributeDefined = Event<'BusinessAttributeDefined', { readonly attribute: BusinessAttribute }>;
export type BusinessAttributeDeleted = Event<'BusinessAttributeDeleted', { readonly name: string }>;
export type ProfileExtensionSchemaCreated = Event<
  'ProfileExtensionSchemaCreated',
  { readonly schema: ProfileExtensionSchema }
>;
export type ProfileExtensionSchemaDeleted = Event<'ProfileExtensionSchemaDeleted', { readonly name: string }>;
export type IdentificationKeyCreated = Event<'IdentificationKeyCreated', { readonly key: IdentificationKey }>;
export type IdentificationKeyDeleted = Event<'IdentificationKeyDeleted', { readonly name: string }>;

export type MetadataEvent =
  | MetadataInitialized
  | BusinessAttributeDefined
  | BusinessAttributeDeleted
  | ProfileExtensionSchemaCreated
  | ProfileExtensionSchemaDeleted
  | IdentificationKeyCreated
  | IdentificationKeyDeleted;

/** What the control log records. */
export type ControlEvent = ModeEvent | MetadataEvent;
