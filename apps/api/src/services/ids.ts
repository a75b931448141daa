import { createHash, randomBytes } from 'node:crypto';

const UUID_BYTES = 16;
/** `<partition>-<uuid>`, the uuid of version 7 or 8: the form of the ids that this server makes (design 2). */
const serverMade = /^(0|[1-9]\d{0,8})-[0-9a-f]{8}-[0-9a-f]{4}-[78][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** First part of the ids of claims: streams beside those of services. */
export const claimPrefix = 'claim-';

/** Whether the id has the form of the server's own ids, whatever its number. A caller may not bring one of these. */
export const isServerMade = (id: string): boolean => serverMade.test(id);

/**
 * The partition of a stream: the number in front of an id that this server made, for every other id (migrated, custom,
 * a claim's) its hash over the first partition count. Stable for ever: a stream never moves.
 */
export function partitionOf(id: string, partitions: number): number {
  const number = serverMade.exec(id)?.[1];
  if (number !== undefined && Number(number) < partitions) return Number(number);
  return overPartitions(sha256(id), partitions);
}

/** Time and chance come from outside, so that ids can be repeated in a test. */
export interface IdSource {
  /** Epoch milliseconds. */
  now(): number;
  random(bytes: number): Uint8Array;
}

const POOL_BYTES = 4096;
let pool = Buffer.alloc(0);

/** Random bytes from the system, asked for in larger portions: one by one they cost more than the rest of an id. */
export function randomFromPool(bytes: number): Uint8Array {
  if (pool.length < bytes) pool = randomBytes(POOL_BYTES);
  const taken = pool.subarray(0, bytes);
  pool = pool.subarray(bytes);
  return taken;
}

export const systemIds: IdSource = { now: Date.now, random: randomFromPool };

/** Makes ids whose number in front is the partition of the service's stream. */
export class Ids {
  constructor(
    private readonly partitions: number,
    private readonly source: IdSource = systemIds,
  ) {}

  /**
   * A new service id. With the digest of an `Idempotency-Key` the same one each time, on any process, so that a repeat
   * meets the stream of the first attempt.
   */
  service(idempotencyKey?: string): string {
    if (idempotencyKey === undefined) {
      return `${overPartitions(this.source.random(4), this.partitions)}-${this.timeOrdered()}`;
    }
    const digest = sha256(idempotencyKey);
    return `${overPartitions(digest.subarray(UUID_BYTES), this.partitions)}-${uuid(digest, 8)}`;
  }

  /** A new id of a state or task, with the number of its service in front. */
  part(serviceId: string): string {
    const number = /^(\d{1,9})-/.exec(serviceId)?.[1] ?? String(partitionOf(serviceId, this.partitions));
    return `${number}-${this.timeOrdered()}`;
  }

  private timeOrdered(): string {
    const bytes = Buffer.alloc(UUID_BYTES);
    bytes.set(this.source.random(10), 6);
    bytes.writeUIntBE(this.source.now(), 0, 6);
    return uuid(bytes, 7);
  }
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

const overPartitions = (bytes: Uint8Array, partitions: number): number =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(0) % partitions;

/** RFC 9562 text of the first sixteen bytes, with version and variant set. */
function uuid(bytes: Uint8Array, version: 7 | 8): string {
  const marked = Buffer.from(bytes.subarray(0, UUID_BYTES));
  marked[6] = (marked[6]! & 0x0f) | (version << 4);
  marked[8] = (marked[8]! & 0x3f) | 0x80;
  const hex = marked.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
