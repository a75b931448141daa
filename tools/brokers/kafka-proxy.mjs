// A TCP proxy between Kafka clients and the broker's PROXIED listener that knows where requests and answers begin and end,
// so that a test can lose exactly the answer it means.
import { once } from 'node:events';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

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

const split = (address) => {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
};

class Connection {
  /** Correlation ids of produce requests whose answer is to be lost, with what to do then. */
  #toLose = new Map();

  constructor(proxy, client, broker) {
    Object.assign(this, { proxy, client, broker });
    const requests = new Frames();
    const answers = new Frames();
    client.on('data', (chunk) => {
      for (const frame of requests.of(chunk)) this.#request(frame);
    });
    broker.on('data', (chunk) => {
      for (const frame of answers.of(chunk)) this.#answer(frame);
    });
    for (const socket of [client, broker]) {
      socket.setNoDelay(true);
      socket.on('error', () => this.cut());
      socket.on('close', () => this.cut());
    }
  }

  cut() {
    this.client.destroy();
    this.broker.destroy();
    this.proxy.connections.delete(this);
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
      if (this.proxy.keepBack(topics, frame, () => this.#pass(frame))) return;
    }
    this.#pass(frame);
  }

  #pass(frame) {
    if (!this.broker.destroyed) this.broker.write(frame);
  }

  #answer(frame) {
    const fault = this.#toLose.get(frame.readInt32BE(4));
    if (fault) {
      fault.done();
      return this.cut();
    }
    if (this.proxy.silent) return;
    const pass = () => {
      if (!this.client.destroyed && !this.proxy.silent) this.client.write(frame);
    };
    if (this.proxy.delayMs > 0) setTimeout(pass, this.proxy.delayMs);
    else pass();
  }
}

export class KafkaProxy {
  connections = new Set();
  silent = false;
  delayMs = 0;
  #faults = [];
  #holds = new Set();
  #refusing = false;
  #server;

  constructor(server, address) {
    this.#server = server;
    this.address = address;
  }

  /** Stands where the listener (`host:port`) sends its clients to; waits while another test's proxy is there. */
  static async start(listener) {
    const { host, port } = await advertisedAddress(listener);
    if (listener === `${host}:${port}`)
      throw new Error(`${listener} advertises itself: it was started without a proxy port`);
    const [brokerHost, brokerPort] = split(listener);
    const server = net.createServer();
    const proxy = new KafkaProxy(server, `${host}:${port}`);
    server.on('connection', (client) => {
      if (proxy.#refusing) return client.destroy();
      proxy.connections.add(new Connection(proxy, client, net.connect(brokerPort, brokerHost)));
    });
    for (let polls = 1; ; polls += 1) {
      try {
        server.listen(port, host);
        await once(server, 'listening');
        return proxy;
      } catch (error) {
        if (error.code !== 'EADDRINUSE' || polls >= LISTEN_POLLS) throw error;
        await sleep(LISTEN_POLL_MS);
      }
    }
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

  /** From now on answers are lost, while requests still reach the broker and connections stay open. */
  silence() {
    this.silent = true;
  }

  /** Every answer comes so much later. */
  delay(ms) {
    this.delayMs = ms;
  }

  /** Cuts all connections; new ones are accepted. */
  cut() {
    for (const connection of this.connections) connection.cut();
  }

  /** Cuts all connections and takes no new ones: the broker cannot be reached. */
  unplug() {
    this.#refusing = true;
    this.cut();
  }

  /**
   * Ends silence, delay, unplugging and holds, and forgets faults that did not happen. Connections that may have missed
   * something are cut; what was held and not released is lost.
   */
  heal() {
    if (this.silent || this.#holds.size > 0) this.cut();
    Object.assign(this, { silent: false, delayMs: 0 });
    this.#refusing = false;
    this.#faults = [];
    this.#holds.clear();
  }

  async close() {
    this.unplug();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
