import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';

interface Found {
  readonly exchanges: number;
  readonly violations: readonly string[];
}
const { fuzzBytes } = (await import(new URL('bytes.mjs', import.meta.url).href)) as {
  fuzzBytes(about: {
    server: { port: number; isAlive: boolean };
    known: { conversations: Record<string, string>[] };
    document: unknown;
    seed: number;
    seconds: number;
  }): Promise<Found>;
};

const ANSWER = { 200: {} };
const document = {
  paths: { '/genesys/1/cs/services/{id}': { get: { responses: ANSWER }, put: { responses: { ...ANSWER, 413: {} } } } },
};
const refusal = JSON.stringify({ message: 'no', exception: 'some.exceptions.BadRequestException' });
const json = { 'Content-Type': 'application/json;charset=UTF-8' };

/** As a server should, but for what it cannot read: that it answers at once, whoever else waits. */
function answerNoiseFirst({ headers, url = '', method = '' }: IncomingMessage, response: ServerResponse): void {
  const id = headers['x-correlation-id'];
  const isBad = /%(?![0-9a-f]{2})|%(FF|C3|ED%A0%80|C0%AF)$/i.test(url);
  const status = !['GET', 'HEAD', 'PUT'].includes(method) ? 405 : isBad ? 400 : 200;
  setTimeout(() => {
    response.writeHead(status, { ...json, ...(id !== undefined && { 'X-Correlation-Id': id }) });
    response.end(status === 200 ? '{}' : refusal);
  }, 5);
}

function refuseNoise(_error: Error, socket: Duplex): void {
  const head = `HTTP/1.1 400 Bad Request\r\nContent-Type: ${json['Content-Type']}\r\nContent-Length: ${refusal.length}`;
  if (socket.writable) socket.end(`${head}\r\nConnection: close\r\n\r\n${refusal}`);
}

let server: Server;

async function violationsOf(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Found> {
  server = createServer({ requireHostHeader: false }, answer).listen(0, '127.0.0.1');
  server.on('clientError', refuseNoise);
  // Else Node answers by itself, in a form of its own.
  server.on('checkExpectation', answer);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return fuzzBytes({
    server: { port, isAlive: true },
    known: { conversations: [{ id: 'x' }] },
    document,
    seed: 1,
    seconds: 1,
  });
}

afterEach(() => {
  server.closeAllConnections();
  server.close();
});

describe('what bytes find in a server', () => {
  it.each<[string, RegExp, (request: IncomingMessage, response: ServerResponse) => void]>([
    ['answers 500', /status 500/, (_, response) => response.writeHead(500).end()],
    ['answers 503 without Retry-After', /503 without Retry-After/, (_, response) => response.writeHead(503).end()],
    [
      'answers what is not documented',
      /not documented: 418/,
      (_, response) => response.writeHead(418, json).end(refusal),
    ],
    [
      'answers errors in another form',
      /an error of type 'text\/plain'/,
      (_, response) => response.writeHead(400, { 'Content-Type': 'text/plain' }).end('no'),
    ],
    [
      'hides what nobody foresaw',
      /nobody foresaw it/,
      (_, response) =>
        response
          .writeHead(503, { ...json, 'Retry-After': '1' })
          .end(JSON.stringify({ message: 'The request could not be answered.', exception: 'some.exceptions.X' })),
    ],
    [
      'answers for somebody else',
      /belongs to 'other'/,
      (_, response) => response.writeHead(200, { ...json, 'X-Correlation-Id': 'other' }).end('{}'),
    ],
    ['hangs up', /0 answers of 1/, ({ socket }) => socket.destroy()],
  ])('that %s', async (_, expected, answer) => {
    expect((await violationsOf(answer)).violations).toContainEqual(expect.stringMatching(expected));
  });

  it('that refuses noise in the place of the answer that is owed', async () => {
    const { violations } = await violationsOf(answerNoiseFirst);
    expect(violations).toContainEqual(expect.stringMatching(/then noise: not documented: 400/));
    expect(violations.filter((one) => !/then noise|of 1048577 bytes/.test(one))).toEqual([]);
  });
});
