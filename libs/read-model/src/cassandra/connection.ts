import type { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import cassandra, { type Client, type ClientOptions, type QueryOptions } from 'cassandra-driver';
import { asOursAtStart, asking } from './driver-errors.js';

export const RECONNECT_MS = 200;

/**
 * Statements to whatever nodes there are. The driver (4.10) must not come back by itself once it had lost all nodes: it
 * knows each of them anew then and forgets the one before, which goes on connecting; with every outage there is more of
 * it, until two of its attempts meet and an unhandled rejection ends the process. So here a client that has lost all
 * nodes is thrown away, and a new one takes its place.
 */
export class Connection {
  private renewing: Promise<void> | undefined;
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

  async close(): Promise<void> {
    this.isClosed = true;
    await this.renewing;
    await dispose(this.client);
  }

  private watch(client: Client): void {
    const known = hostsOf(client);
    const control = controlOf(client);
    // Comes after each attempt of the driver to find another node that tells it about all of them.
    const onNewConnection = (error: Error | null): void => {
      if (this.isClosed || (!error && !isKnownAnew(hostsOf(client), known))) return;
      control.off('newConnection', onNewConnection);
      this.renewing = this.renew(client, known);
    };
    control.on('newConnection', onNewConnection);
  }

  /** The old client serves, as well as it can, until there is a new one. */
  private async renew(old: Client, hosts: readonly Host[]): Promise<void> {
    controlOf(old).shutdown();
    const client = await this.reconnect();
    if (client !== undefined) {
      this.client = client;
      this.watch(client);
    }
    await dispose(old, hosts);
  }

  private async reconnect(): Promise<Client | undefined> {
    while (!this.isClosed) {
      try {
        return await connect(this.options);
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

/**
 * Shuts down also what the driver forgets: nodes that it has come to know anew, and a connection that led nowhere.
 * Requests to nodes given here may still end; the others fail.
 */
async function dispose(client: Client, hosts: readonly Host[] = []): Promise<void> {
  await Promise.all(hosts.map((host) => host.shutdown(true)));
  await client.shutdown();
  await controlOf(client).connection?.close();
}

const isKnownAnew = (hosts: readonly Host[], known: readonly Host[]): boolean =>
  hosts.some((host) => !known.includes(host) && known.some(({ address }) => address === host.address));

/** Parts of the driver that its types do not tell of. */
interface Host {
  readonly address: string;
  shutdown(waitForPending: boolean): Promise<void>;
}
interface Control extends EventEmitter {
  shutdown(): void;
  readonly connection?: { close(): Promise<void> } | null;
}

const hostsOf = (client: Client): readonly Host[] => client.hosts.values() as unknown as readonly Host[];

const controlOf = (client: Client): Control =>
  (client as unknown as { readonly controlConnection: Control }).controlConnection;
