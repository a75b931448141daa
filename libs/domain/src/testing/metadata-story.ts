import { encode, openControl } from '#events';
import type { EventEnvelope, IdempotencyDigest, MetadataEvent } from '#events';
import { decideMetadata, evolveMetadata, metadataAnswerOf, noMetadata } from '../index.js';
import type {
  AttributeDefinition,
  ExtensionDefinition,
  InitialMetadata,
  KeyDefinition,
  Metadata,
  MetadataAnswer,
  MetadataCommand,
  RejectionCode,
} from '../index.js';
import { firstRecordedAt, rejection } from './specification.js';

interface Place {
  readonly version?: number;
  readonly recordedAt?: number;
  readonly idempotency?: IdempotencyDigest;
}

/** The event as it comes out of the control log: through the codec and in its envelope. */
export const recordedMetadata = (event: MetadataEvent, { version = 1, ...place }: Place = {}) =>
  openControl({
    kind: 'event',
    ...encode(event),
    eventId: `event-${version}`,
    tenant: '1',
    stream: 'metadata',
    partition: 0,
    offset: version,
    version,
    epoch: 0,
    correlationId: 'a-request',
    recordedAt: firstRecordedAt + version * 1000,
    ...place,
  }) as EventEnvelope<MetadataEvent>;

export const initialize = (data: InitialMetadata = {}): MetadataCommand => ({ type: 'InitializeMetadata', data });
export const define = (data: AttributeDefinition): MetadataCommand => ({ type: 'DefineBusinessAttribute', data });
export const deleteAttribute = (name: string): MetadataCommand => ({ type: 'DeleteBusinessAttribute', data: { name } });
export const extend = (data: ExtensionDefinition): MetadataCommand => ({ type: 'CreateProfileExtensionSchema', data });
export const deleteExtension = (name: string): MetadataCommand => ({
  type: 'DeleteProfileExtensionSchema',
  data: { name },
});
export const createKey = (data: KeyDefinition): MetadataCommand => ({ type: 'CreateIdentificationKey', data });
export const deleteKey = (name: string): MetadataCommand => ({ type: 'DeleteIdentificationKey', data: { name } });

/** What the accepted commands made of the metadata, one record after another. */
export const metadataAfter = (...commands: readonly MetadataCommand[]): Metadata =>
  commands.reduce((metadata, command, index) => {
    const { event } = decideMetadata(command, metadata);
    return event ? evolveMetadata(metadata, recordedMetadata(event, { version: index + 1 })) : metadata;
  }, noMetadata);

/** `given(accepted commands after the first start).when(command).then...` */
export const givenMetadata = (...commands: readonly MetadataCommand[]) => {
  const first = commands[0]?.type === 'InitializeMetadata' ? [] : [initialize()];
  const before = metadataAfter(...first, ...commands);
  return {
    when(command: MetadataCommand) {
      const decided = () => decideMetadata(command, before);
      return {
        /** This event, which the codec and the fold take, and the answer that the fold will keep for it. */
        thenRecords(event: MetadataEvent): void {
          const decision = decided();
          expect(decision.event && recordedMetadata(decision.event).event).toStrictEqual(event);
          expect(decision.answer).toStrictEqual(metadataAnswerOf(event, before));
        },
        thenAnswers(answer: MetadataAnswer): void {
          expect(decided().answer).toStrictEqual(answer);
        },
        thenRejects(code: RejectionCode, message?: string | RegExp): void {
          const rejected = rejection(decided);
          expect([rejected.code, rejected.message]).toStrictEqual([code, expect.any(String)]);
          if (message !== undefined) expect(rejected.message).toMatch(message);
        },
        /** The metadata with the command done. */
        get outcome(): Metadata {
          return metadataAfter(...first, ...commands, command);
        },
      };
    },
  };
};
