// A server that does only what nobody could leave out. `server.ts <node-http|fastify|fastify-kafka>` prints its address.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import fastify from 'fastify';
import { KafkaFloor } from './kafka.js';

const PATHS = '/*';
const ANSWER = { service_id: '0-0193542a-7c00-7fff-bfff-ffffffffffff', state_id: 'state', task_id: 'task' };
const HOST = '127.0.0.1';

function nodeHttp(): Promise<string> {
  const answer = (response: ServerResponse): void => {
    const text = JSON.stringify(ANSWER);
    response
      .writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
      .end(text);
  };
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (chunks.length > 0) JSON.parse(Buffer.concat(chunks).toString());
      answer(response);
    });
  });
  return new Promise((resolve) => {
    server.listen(0, HOST, () => resolve(`http://${HOST}:${(server.address() as { port: number }).port}`));
  });
}

async function withFastify(store?: (path: string, body: unknown) => Promise<void>): Promise<string> {
  const server = fastify();
  server.get(PATHS, async () => ANSWER);
  server.post(PATHS, async (request) => {
    await store?.(request.url, request.body);
    return ANSWER;
  });
  return server.listen({ port: 0, host: HOST });
}

async function withKafka(): Promise<string> {
  const kafka = await KafkaFloor.open(process.env['BENCH_KAFKA']!, Number(process.env['BENCH_PARTITIONS']));
  return withFastify((path, body) => kafka.append(path, JSON.stringify(body)));
}

const start = { 'node-http': nodeHttp, fastify: () => withFastify(), 'fastify-kafka': withKafka };

const kind = process.argv[2] as keyof typeof start;
process.on('SIGTERM', () => process.exit(0));
console.log(await start[kind]());
