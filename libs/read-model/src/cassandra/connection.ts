import type { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import cassandra, { type Client, type ClientOptions, type QueryOptions } from 'cassandra-driver';
import { asOursAtStart, asking } from './driver-errors.js';

/** After an attempt to connect that failed. */
export const RECONNECT_MS = 200;
/** A client that was replaced gets so long to finish what it is at. */
const DRAIN_MS = 2_000;
const DRAIN_POLL_MS = 10;

/**
 * Statements to whatever nodes there are. A client of the driver (4.10) asks one node about all others; when it loses
 * that node, it must not look for another one by itself: once all nodes were gone it knows each of them anew and forgets
 * the one before, which goes on connecting, so that there is more of it with every outage, until two of its attempts
 * meet and an unhandled rejection ends the process. So a client that has lost this node is replaced by a new one.
 */
export class Connection {
  private renewing: Promise<unknown> | undefined;
  private isClosed = false;

  private constructor(
    private client: Client,
    private readonly options: ClientOptions,
  ) {
    this.watch(client);
  }

  /** `prepare` is done once, over the first client. Throws what `connect` of the read model says. */
  static async open(options: ClientOptions, prepare: (client: Client) => Promise<void>): Promise<Connection> {
    const client = await connect(options);
    try {
      await prepare(client);
    } catch (error) {
      await dispose(client);
      throw asOursAtStart(error);
    }
    return new Connection(client, options);
  }

  /** Throws `StoreUnavailable`, or what is a fault of ours. */
  execute(
    statement: string,
    parameters: Record<string, unknown>,
    options: QueryOptions = {},
  ): Promise<cassandra.types.ResultSet> {
    return asking(this.client.execute(statement, parameters, options));
  }

  /** Requests in flight fail. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.renewing;
    await dispose(this.client);
  }

  private watch(client: Client): void {
    const { connection, host } = controlOf(client);
    let isLost = false;
    const onLost = (): void => {
      if (isLost || this.isClosed) return;
      isLost = true;
      // The one before may still be at what it replaced.
      this.renewing = Promise.all([this.renewing, this.renew(client)]);
    };
    if (!connection || !host) return onLost();
    // Before the driver's own listeners: it does nothing once it is shut down.
    connection.prependOnceListener('socketClose', onLost);
    host.prependOnceListener('down', onLost);
    host.prependOnceListener('ignore', onLost);
  }

  /** The old client serves, as well as it can, until there is a new one. */
  private async renew(old: Client): Promise<void> {
    controlOf(old).shutdown();
    const client = await this.reconnect(old);
    if (client !== undefined) {
      this.client = client;
      this.watch(client);
      await drain(old);
    }
    await dispose(old);
  }

  private async reconnect(old: Client): Promise<Client | undefined> {
    const known = old.hosts.values().map(({ address }) => address);
    const contactPoints = [...new Set([...(this.options.contactPoints ?? []), ...known])];
    while (!this.isClosed) {
      try {
        return await connect({ ...this.options, contactPoints });
      } catch {
        await pause(RECONNECT_MS);
      }
    }
    return undefined;
  }
}

async function connect(options: ClientOptions): Promise<Client> {
  const client = new cassandra.Client(options);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await dispose(client);
    throw asOursAtStart(error);
  }
}

async function drain(client: Client): Promise<void> {
  const deadline = performance.now() + DRAIN_MS;
  const isBusy = (): boolean => {
    const state = client.getState();
    return state.getConnectedHosts().some((host) => state.getInFlightQueries(host) > 0);
  };
  while (isBusy() && performance.now() < deadline) await pause(DRAIN_POLL_MS);
}

/** Never rejects: nobody could do more about a client that is not needed and cannot be closed. */
async function dispose(client: Client): Promise<void> {
  // When a client cannot connect, the driver forgets the connection over which it learned that.
  const closeControl = async () => controlOf(client).connection?.close();
  await Promise.allSettled([client.shutdown()]);
  await Promise.allSettled([closeControl()]);
}

/** Parts of the driver that its types do not tell of. */
interface Control {
  readonly connection?: (EventEmitter & { close(): Promise<void> }) | null;
  readonly host?: EventEmitter | null;
  shutdown(): void;
}

const controlOf = (client: Client): Control =>
  (client as unknown as { readonly controlConnection: Control }).controlConnection;
