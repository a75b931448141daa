// A TCP proxy between Kafka clients and the broker's PROXIED listener that knows where requests and answers begin and end,
// so that a test can lose exactly the answer it means.
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Connection, split, TcpProxy } from './tcp-proxy.mjs';

const PRODUCE = 0;
const METADATA_REQUEST = Buffer.from('00000010' + '00030001' + '00000001' + '0002' + '6370' + '00000000', 'hex');
const LISTEN_POLL_MS = 100;
const LISTEN_POLLS = 1_200;

/** Cuts a byte stream into Kafka's frames: four bytes of size, then so many bytes. */
class Frames {
  #rest = Buffer.alloc(0);

  *of(chunk) {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 4) {
      const size = 4 + this.#rest.readInt32BE(0);
      if (this.#rest.length < size) return;
      yield this.#rest.subarray(0, size);
      this.#rest = this.#rest.subarray(size);
    }
  }
}

class Cursor {
  constructor(bytes, at) {
    this.bytes = bytes;
    this.at = at;
  }
  int16() {
    this.at += 2;
    return this.bytes.readInt16BE(this.at - 2);
  }
  int32() {
    this.at += 4;
    return this.bytes.readInt32BE(this.at - 4);
  }
  /** A length of -1 is null. */
  text(length = this.int16()) {
    if (length < 0) return undefined;
    this.at += length;
    return this.bytes.toString('utf8', this.at - length, this.at);
  }
  skip(length) {
    if (length > 0) this.at += length;
  }
}

/** What a request frame says about itself; for a produce request also the topics that it writes to. */
function readRequest(frame) {
  const cursor = new Cursor(frame, 4);
  const [apiKey, version, correlationId] = [cursor.int16(), cursor.int16(), cursor.int32()];
  if (apiKey !== PRODUCE) return { apiKey, correlationId, topics: [] };
  if (version < 3 || version > 8) throw new Error(`a produce request of version ${version}: the proxy reads 3 to 8`);
  cursor.text(); // client id
  cursor.text(); // transactional id
  cursor.skip(2 + 4); // acks, time-out
  const topics = [];
  for (let left = cursor.int32(); left > 0; left -= 1) {
    topics.push(cursor.text());
    for (let partitions = cursor.int32(); partitions > 0; partitions -= 1) {
      cursor.skip(4); // partition
      cursor.skip(cursor.int32()); // records
    }
  }
  return { apiKey, correlationId, topics };
}

/** The address that the listener tells its clients to use: where the proxy has to be. */
async function advertisedAddress(listener) {
  const [host, port] = split(listener);
  const socket = net.connect(port, host);
  try {
    await once(socket, 'connect');
    socket.write(METADATA_REQUEST);
    const frames = new Frames();
    for await (const chunk of socket) {
      for (const frame of frames.of(chunk)) {
        const cursor = new Cursor(frame, 4 + 4);
        if (cursor.int32() < 1) throw new Error(`${listener} knows no broker`);
        cursor.skip(4); // node id
        return { host: cursor.text(), port: cursor.int32() };
      }
    }
    throw new Error(`${listener} did not answer`);
  } finally {
    socket.destroy();
  }
}

class KafkaConnection extends Connection {
  #requestFrames = new Frames();
  #answerFrames = new Frames();
  /** Correlation ids of produce requests whose answer is to be lost, with what to do then. */
  #toLose = new Map();

  request(bytes) {
    for (const frame of this.#requestFrames.of(bytes)) this.#request(frame);
  }

  answer(bytes) {
    for (const frame of this.#answerFrames.of(bytes)) this.#answer(frame);
  }

  #request(frame) {
    const { apiKey, correlationId, topics } = readRequest(frame);
    if (apiKey === PRODUCE) {
      const fault = this.proxy.takeFault(topics);
      if (fault?.lose === 'request') {
        fault.done();
        return this.cut();
      }
      if (fault) this.#toLose.set(correlationId, fault);
      if (this.proxy.keepBack(topics, frame, () => super.request(frame))) return;
    }
    super.request(frame);
  }

  #answer(frame) {
    const fault = this.#toLose.get(frame.readInt32BE(4));
    if (!fault) return super.answer(frame);
    fault.done();
    this.cut();
  }
}

export class KafkaProxy extends TcpProxy {
  #faults = [];
  #holds = new Set();

  /** Stands where the listener (`host:port`) sends its clients to; waits while another test's proxy is there. */
  static async start(listener) {
    const { host, port } = await advertisedAddress(listener);
    if (listener === `${host}:${port}`)
      throw new Error(`${listener} advertises itself: it was started without a proxy port`);
    const server = net.createServer();
    for (let polls = 1; ; polls += 1) {
      try {
        server.listen(port, host);
        await once(server, 'listening');
        return new KafkaProxy(server, `${host}:${port}`, listener);
      } catch (error) {
        if (error.code !== 'EADDRINUSE' || polls >= LISTEN_POLLS) throw error;
        await sleep(LISTEN_POLL_MS);
      }
    }
  }

  connection(client, broker) {
    return new KafkaConnection(this, client, broker);
  }

  /** Resolves when it happened: the broker took the produce request, its answer is lost, the connection cut. */
  loseNextProduceAnswer(topic) {
    return this.#arm('answer', topic);
  }

  /** Resolves when it happened: the broker never saw the produce request, the connection is cut. */
  loseNextProduceRequest(topic) {
    return this.#arm('request', topic);
  }

  #arm(lose, topic) {
    return new Promise((resolve) => {
      this.#faults.push({ lose, topic, done: resolve });
    });
  }

  takeFault(topics) {
    const at = this.#faults.findIndex(({ topic }) => topics.includes(topic));
    return at < 0 ? undefined : this.#faults.splice(at, 1)[0];
  }

  /**
   * Keeps back the produce requests to the topic in which a record contains `text`. Those whose connection is still open
   * reach the broker when they are released, however late.
   */
  hold(topic, text) {
    const kept = [];
    let reach;
    const reached = new Promise((resolve) => {
      reach = resolve;
    });
    const keep = (pass) => {
      kept.push(pass);
      reach();
    };
    const hold = { topic, text, keep };
    this.#holds.add(hold);
    const release = () => {
      this.#holds.delete(hold);
      for (const pass of kept.splice(0)) pass();
    };
    return { reached, release };
  }

  keepBack(topics, frame, pass) {
    const hold = [...this.#holds].find(({ topic, text }) => topics.includes(topic) && frame.includes(text));
    hold?.keep(pass);
    return hold !== undefined;
  }

  /** Ends holds too (what was held and not released is lost), and forgets faults that did not happen. */
  heal() {
    if (this.#holds.size > 0) this.cut();
    this.#faults = [];
    this.#holds.clear();
    super.heal();
  }
}
