import type { Head, RecordedEvent } from '#events';

/** Why a record is ignored for ever by every reader. */
export type VoidReason = 'version' | 'epoch' | 'expired';

export type Judgement =
  | { readonly valid: true }
  | { readonly valid: false; readonly reason: VoidReason }
  /** Cannot come from this protocol: the stream is parked with an alarm, never silently ignored. */
  | { readonly valid: false; readonly reason: 'impossible' };

/**
 * The rule (design 3): a record is valid when its epoch is the partition's, its version is the next of its stream, and
 * it was recorded before the stream expired. Every reader applies it to the records of a partition in order and so
 * reaches the same answer.
 *
 * `head` is the stream's after its last valid record; `epoch` the highest fence of the partition so far.
 */
export function judge(
  record: Pick<RecordedEvent, 'type' | 'version' | 'epoch' | 'recordedAt'>,
  head: Head,
  epoch: number,
): Judgement {
  if (record.epoch < epoch) return { valid: false, reason: 'epoch' };
  if (record.epoch > epoch) return { valid: false, reason: 'impossible' };
  if (record.version <= head.version) return { valid: false, reason: 'version' };
  if (head.expiresAt !== undefined && record.recordedAt >= head.expiresAt && record.type !== 'ServiceExpired') {
    return { valid: false, reason: 'expired' };
  }
  if (record.version > head.version + 1) return { valid: false, reason: 'impossible' };
  return { valid: true };
}

/** The epoch of a partition after a fence: a late fence of a lower epoch changes nothing. */
export const fenced = (epoch: number, fence: number): number => Math.max(epoch, fence);
