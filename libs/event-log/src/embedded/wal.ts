import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/**
 * The write-ahead log of SQLite as it lies on disk (sqlite.org/fileformat2.html#walformat): a header of 32 bytes, then
 * frames of 24 bytes and one page each. The checksum of a frame goes on from that of the frame before; both salts are
 * the header's in every frame since the file was last started over, frames after these are older.
 */
const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE_ENDIAN = 0x377f0682;
const MAGIC_BIG_ENDIAN = 0x377f0683;

/** The page size of the databases that are walked: what a header too damaged to read would say. */
export const PAGE_BYTES = 4096;

type Checksum = readonly [number, number];

interface Frame {
  readonly salts: string;
  /** The last frame of a commit. */
  readonly commits: boolean;
  readonly checksum: Checksum;
  /** The checksum that the frame must carry when it follows a frame with this one. */
  after(previous: Checksum): Checksum;
}

/**
 * Looks for damage that SQLite would silently take for the end of the log and thereby drop commits that were
 * acknowledged. Returns the place in words, undefined when all is well. Call it before SQLite opens the database.
 *
 * SQLite believes frames up to the first bad one. With every commit synced before the next one is written, only the
 * last commit can be torn by a crash, and after a power cut its frames may be there in part and in any order. So a bad
 * frame is a torn tail as long as nothing follows the commit that it belongs to; a sound frame behind that commit
 * proves that the bad one had been synced. A frame is known to be sound, with the chain broken before it, by taking
 * as the seed what its predecessor stores as its checksum, or what that should be. Frames with other salts are of an earlier round and prove nothing.
 */
export function damageInWal(path: string): string | undefined {
  const file = openExisting(path);
  if (file === undefined) return undefined;
  try {
    return walk(file);
  } finally {
    closeSync(file);
  }
}

function walk(file: number): string | undefined {
  const { size } = fstatSync(file);
  if (size <= HEADER_BYTES) return undefined;

  const header = Buffer.alloc(HEADER_BYTES);
  readSync(file, header, 0, HEADER_BYTES, 0);
  const magic = header.readUInt32BE(0);
  const bigEndian = magic === MAGIC_BIG_ENDIAN;
  const seed = sum([0, 0], header.subarray(0, 24), bigEndian);
  const isHeaderSound =
    (bigEndian || magic === MAGIC_LITTLE_ENDIAN) && same(seed, [header.readUInt32BE(24), header.readUInt32BE(28)]);
  const pageBytes = isHeaderSound ? header.readUInt32BE(8) : PAGE_BYTES;
  const frames = readFrames(file, size, pageBytes, bigEndian);

  if (!isHeaderSound) return walkWithoutHeader(frames);

  const salts = saltsOf(header, 16);
  let seeds: readonly Checksum[] = [seed];
  let bad: number | undefined;
  let isTailClosed = false;
  for (const [index, frame] of frames) {
    const hasSalts = frame.salts === salts;
    const isChained = seeds.some((previous) => same(frame.after(previous), frame.checksum));
    const isSound = hasSalts && isChained;
    if (isSound && isTailClosed) {
      return `frame ${bad} of the write-ahead log is damaged, frame ${index} of a later commit is not`;
    }
    if (!isSound) bad ??= index;
    // An older frame in the place of a torn one has neither the salts nor the chain: its commit is not of this round.
    if (bad !== undefined) isTailClosed ||= frame.commits && (hasSalts || isChained);
    // Of a bad frame either the page or the checksum may be as it was written.
    seeds = isSound ? [frame.checksum] : [frame.checksum, frame.after(seeds[0]!)];
  }
  return undefined;
}

/** The header is synced before any frame is written, and it lies in one sector: it is never torn, only damaged. */
function walkWithoutHeader(frames: Iterable<[number, Frame]>): string | undefined {
  let previous: Frame | undefined;
  for (const [index, frame] of frames) {
    if (previous?.salts === frame.salts && same(frame.after(previous.checksum), frame.checksum)) {
      return `the header of the write-ahead log is damaged, frame ${index} is not`;
    }
    previous = frame;
  }
  return undefined;
}

function* readFrames(file: number, size: number, pageBytes: number, bigEndian: boolean): Generator<[number, Frame]> {
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  for (let index = 1; HEADER_BYTES + index * frameBytes <= size; index += 1) {
    const frame = Buffer.alloc(frameBytes);
    readSync(file, frame, 0, frameBytes, HEADER_BYTES + (index - 1) * frameBytes);
    yield [
      index,
      {
        salts: saltsOf(frame, 8),
        commits: frame.readUInt32BE(4) !== 0,
        checksum: [frame.readUInt32BE(16), frame.readUInt32BE(20)],
        after: (previous) =>
          sum(sum(previous, frame.subarray(0, 8), bigEndian), frame.subarray(FRAME_HEADER_BYTES), bigEndian),
      },
    ];
  }
}

/** The format's checksum: two sums over the 32-bit words, taken in turns. */
function sum([first, second]: Checksum, bytes: Buffer, bigEndian: boolean): Checksum {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < bytes.byteLength; at += 8) {
    first = (first + words.getUint32(at, !bigEndian) + second) >>> 0;
    second = (second + words.getUint32(at + 4, !bigEndian) + first) >>> 0;
  }
  return [first, second];
}

const same = (a: Checksum, b: Checksum): boolean => a[0] === b[0] && a[1] === b[1];
const saltsOf = (bytes: Buffer, at: number): string => bytes.toString('hex', at, at + 8);

function openExisting(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
