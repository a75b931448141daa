// A TCP proxy between clients and a broker that loses, delays, slows down and cuts on demand, whatever the two speak.
import { once } from 'node:events';
import net from 'node:net';

const HOST = '127.0.0.1';
/** What is slowed down goes on in pieces of so many milliseconds. */
const SLICE_MS = 20;
/** Beyond it nothing more is read from the sender, as on a slow network. */
const MOST_HELD_BYTES = 64 * 1024;

export const split = (address) => {
  const colon = address.lastIndexOf(':');
  return [address.slice(0, colon), Number(address.slice(colon + 1))];
};

/** One direction of a connection: what goes in comes out in order, later or more slowly. */
class Pipe {
  /** Whatever goes in is lost, for good, and nobody is told. */
  isDeaf = false;
  #held = [];
  #heldBytes = 0;
  #freeAt = 0;
  #timer;

  constructor(proxy, from, to) {
    Object.assign(this, { proxy, from, to });
  }

  send(bytes, delayMs = 0) {
    this.#held.push({ bytes, due: performance.now() + delayMs });
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > MOST_HELD_BYTES) this.from.pause();
    this.flow();
  }

  /** Passes on what is due; to be called again when the proxy has become faster. */
  flow() {
    clearTimeout(this.#timer);
    for (let [first] = this.#held; first; [first] = this.#held) {
      const { bytesPerSecond } = this.proxy;
      const now = performance.now();
      const waitMs = Math.max(first.due, bytesPerSecond < Infinity ? this.#freeAt : 0) - now;
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.flow(), waitMs);
        return;
      }
      const most = Math.max(1, (bytesPerSecond * SLICE_MS) / 1000);
      const slice = first.bytes.subarray(0, most);
      first.bytes = first.bytes.subarray(slice.length);
      if (first.bytes.length === 0) this.#held.shift();
      this.#heldBytes -= slice.length;
      this.#freeAt = now + (slice.length * 1000) / bytesPerSecond;
      this.#write(slice);
    }
    this.from.resume();
  }

  #write(bytes) {
    const isLost = this.isDeaf || (this.proxy.silent && this === this.connection.answers);
    if (!isLost && !this.to.destroyed) this.to.write(bytes);
  }

  end() {
    clearTimeout(this.#timer);
    this.#held = [];
  }
}

/** A client and the broker's side of it. */
export class Connection {
  /** Called when the answer that is to be lost is lost. */
  #toLose;

  constructor(proxy, client, broker) {
    Object.assign(this, { proxy, client, broker });
    this.requests = new Pipe(proxy, client, broker);
    this.answers = new Pipe(proxy, broker, client);
    for (const pipe of [this.requests, this.answers]) {
      pipe.connection = this;
      pipe.from.setNoDelay(true);
      pipe.from.on('error', () => this.#ended(pipe));
      pipe.from.on('close', () => this.#ended(pipe));
    }
    client.on('data', (bytes) => this.request(bytes));
    broker.on('data', (bytes) => this.answer(bytes));
  }

  request(bytes) {
    this.#toLose ??= this.proxy.takeLoss();
    this.requests.send(bytes);
  }

  answer(bytes) {
    if (this.#toLose) {
      this.#toLose();
      return this.cut();
    }
    if (!this.proxy.silent) this.answers.send(bytes, this.proxy.delayMs);
  }

  cut() {
    for (const pipe of [this.requests, this.answers]) pipe.end();
    this.client.destroy();
    this.broker.destroy();
    this.proxy.connections.delete(this);
  }

  /** Of a deaf direction the other side does not even learn that it has ended. */
  #ended(pipe) {
    if (!pipe.isDeaf) this.cut();
  }
}

export class TcpProxy {
  connections = new Set();
  silent = false;
  delayMs = 0;
  bytesPerSecond = Infinity;
  #losses = [];
  #refusing = false;

  constructor(server, address, target) {
    Object.assign(this, { server, address });
    const [host, port] = split(target);
    server.on('connection', (client) => {
      if (this.#refusing) return client.destroy();
      this.connections.add(this.connection(client, net.connect(port, host)));
    });
  }

  /** In front of `target` (`host:port`), on a free port. */
  static async start(target) {
    const server = net.createServer();
    server.listen(0, HOST);
    await once(server, 'listening');
    return new TcpProxy(server, `${HOST}:${server.address().port}`, target);
  }

  connection(client, broker) {
    return new Connection(this, client, broker);
  }

  loseNextAnswer() {
    return new Promise((resolve) => {
      this.#losses.push(resolve);
    });
  }

  takeLoss() {
    return this.#losses.shift();
  }

  silence() {
    this.silent = true;
  }

  delay(ms) {
    this.delayMs = ms;
  }

  throttle(bytesPerSecond) {
    this.bytesPerSecond = bytesPerSecond;
    this.#flow();
  }

  halfOpen(deaf) {
    for (const connection of this.connections) connection[deaf].isDeaf = true;
  }

  cut() {
    for (const connection of this.connections) connection.cut();
  }

  unplug() {
    this.#refusing = true;
    this.cut();
  }

  heal() {
    if (this.silent) this.cut();
    Object.assign(this, { silent: false, delayMs: 0, bytesPerSecond: Infinity });
    this.#refusing = false;
    this.#losses = [];
    this.#flow();
  }

  async close() {
    this.unplug();
    this.server.close();
    await once(this.server, 'close');
  }

  #flow() {
    for (const { requests, answers } of this.connections) for (const pipe of [requests, answers]) pipe.flow();
  }
}
