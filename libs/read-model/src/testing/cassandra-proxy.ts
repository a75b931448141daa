import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

const HEADER_BYTES = 9;
const OPCODE_AT = 4;
const LENGTH_AT = 5;
const EXECUTE = 0x0a;

/** A way to Cassandra that can be silenced or cut, also in the middle of what one call sends. Knows CQL frames (v4). */
export class CassandraProxy {
  private readonly sockets = new Set<Socket>();
  private readonly clients = new Set<Socket>();
  private unplugged = false;
  private silent = false;
  private statementsLeft = Number.POSITIVE_INFINITY;
  private rewrite = (answer: Buffer): Buffer => answer;

  /** `host:port` for the driver. */
  readonly address: string;

  private constructor(
    private readonly server: Server,
    private readonly target: { readonly host: string; readonly port: number },
  ) {
    this.address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('connection', (socket) => this.join(socket));
  }

  static async start(address: string): Promise<CassandraProxy> {
    const [host = '', port] = address.split(':');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new CassandraProxy(server, { host, port: Number(port) });
  }

  /** Open ones of clients. */
  get connections(): number {
    return this.clients.size;
  }

  /** Answers are lost, connections stay. */
  silence(): void {
    this.silent = true;
  }

  /** Cuts all connections and takes no new ones. */
  unplug(): void {
    this.unplugged = true;
    for (const socket of this.sockets) socket.destroy();
  }

  /** Lets so many more statements reach Cassandra, then unplugs. */
  unplugAfter(statements: number): void {
    this.statementsLeft = statements;
  }

  /** Every answer comes as what this makes of it. */
  rewriteAnswers(rewrite: (answer: Buffer) => Buffer): void {
    this.rewrite = rewrite;
  }

  heal(): void {
    this.unplugged = false;
    this.silent = false;
    this.statementsLeft = Number.POSITIVE_INFINITY;
  }

  async close(): Promise<void> {
    this.unplug();
    await new Promise((resolve) => this.server.close(resolve));
  }

  private join(client: Socket): void {
    if (this.unplugged) return void client.destroy();
    const store = connect(this.target);
    this.clients.add(client);
    client.on('close', () => this.clients.delete(client));
    this.pass(client, store, (frame) => this.request(frame));
    this.pass(store, client, (frame) => this.answer(frame));
  }

  private pass(from: Socket, to: Socket, through: (frame: Buffer) => Buffer | undefined): void {
    this.sockets.add(from);
    from.on('error', () => from.destroy());
    from.on('close', () => {
      this.sockets.delete(from);
      to.destroy();
    });
    let rest: Buffer = Buffer.alloc(0);
    from.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk]);
      for (let end = frameEnd(rest); end !== undefined && end <= rest.length; end = frameEnd(rest)) {
        const passed = through(rest.subarray(0, end));
        rest = rest.subarray(end);
        if (passed !== undefined) to.write(passed);
      }
    });
  }

  private request(frame: Buffer): Buffer | undefined {
    if (frame[OPCODE_AT] !== EXECUTE) return frame;
    if (this.statementsLeft === 0) {
      this.unplug();
      return undefined;
    }
    this.statementsLeft -= 1;
    return frame;
  }

  private answer(frame: Buffer): Buffer | undefined {
    if (this.silent) return undefined;
    const body = this.rewrite(frame.subarray(HEADER_BYTES));
    const header = Buffer.from(frame.subarray(0, HEADER_BYTES));
    header.writeInt32BE(body.length, LENGTH_AT);
    return Buffer.concat([header, body]);
  }
}

const frameEnd = (buffer: Buffer): number | undefined =>
  buffer.length < HEADER_BYTES ? undefined : HEADER_BYTES + buffer.readInt32BE(LENGTH_AT);
