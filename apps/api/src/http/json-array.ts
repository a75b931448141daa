import { Readable } from 'node:stream';
import type { Json } from '#events';

/** So much is gathered before a chunk is sent: a short list goes out whole, with its length. */
const CHUNK_CHARACTERS = 64 * 1024;

/**
 * A JSON array of any length without holding it all. Resolves when the first chunk, or the whole, is there: what fails
 * until then becomes an ordinary error answer. A failure later breaks the connection, so that a list never ends
 * well-formed and short. Whoever stops reading closes the iterable.
 */
export async function jsonArray(items: AsyncIterable<Json>): Promise<string | Readable> {
  const chunks = chunksOf(items);
  const first = await chunks.next();
  if (first.done) return first.value;
  return new ArrayStream(first.value, chunks);
}

/** Yields full chunks and returns the last one. */
async function* chunksOf(items: AsyncIterable<Json>): AsyncGenerator<string, string> {
  let chunk = '[';
  let separator = '';
  for await (const item of items) {
    chunk += separator + JSON.stringify(item);
    separator = ',';
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  return `${chunk}]`;
}

class ArrayStream extends Readable {
  constructor(
    private first: string | undefined,
    private readonly rest: AsyncGenerator<string, string>,
  ) {
    super();
  }

  override _read(): void {
    if (this.first !== undefined) {
      const { first } = this;
      this.first = undefined;
      this.push(first);
      return;
    }
    this.rest.next().then(
      ({ done, value }) => {
        this.push(value);
        if (done) this.push(null);
      },
      (error: Error) => this.destroy(error),
    );
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.rest.return('').then(
      () => callback(error),
      () => callback(error),
    );
  }
}
