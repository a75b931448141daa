export type BrokerName = 'kafka' | 'cassandra';

export interface BrokerOptions {
  /** Folder of the data, logs and the state that a later call finds the broker by. */
  readonly data?: string;
  /** Folder of the jars. */
  readonly cache?: string;
  /** For clients; by default that of the last start in this data folder, else a free one. */
  readonly port?: number;
  /** What Kafka's second listener advertises: the port of a fault proxy in front of it. */
  readonly kafkaProxyPort?: number;
  /** When Cassandra acknowledges a write (default `group`). */
  readonly cassandraSync?: 'periodic' | 'batch' | 'group';
  readonly readyWithinMs?: number;
}

export interface Broker {
  readonly name: BrokerName;
  readonly pid: number;
  /** `host:port` for clients. */
  readonly address: string;
  /** Kafka only: `host:port` of the listener that advertises the fault proxy's port. */
  readonly proxiedAddress?: string;
  readonly kafkaProxyPort?: number;
  /** Where its data and logs are. */
  readonly home: string;
}

/** The person at the keyboard can do something about it: the message says what. */
export declare class BrokerProblem extends Error {}

export declare const brokerNames: readonly BrokerName[];
export declare const defaultData: string;
export declare const defaultCache: string;
/** The first Java 17 of JAVA_HOME, the path and the usual places. Throws {@link BrokerProblem}. */
export declare function findJava(): string;
/** A free port that the system does not give to outgoing connections. */
export declare function freePort(): Promise<number>;
/** Copies the broker's jars into the cache unless they are there; returns their folder. Throws {@link BrokerProblem}. */
export declare function fetch(name: BrokerName, options?: BrokerOptions): string;
/** Resolves once it answers; finds it when it runs already. Throws {@link BrokerProblem}, leaving nothing running. */
export declare function start(name: BrokerName, options?: BrokerOptions): Promise<Broker>;
/** Ends it in order (SIGTERM). False when it was not running. */
export declare function stop(name: BrokerName, options?: BrokerOptions): Promise<boolean>;
/** Ends it as a crash would (SIGKILL). False when it was not running. */
export declare function kill(name: BrokerName, options?: BrokerOptions): Promise<boolean>;
/** As it runs now; undefined when it does not. */
export declare function status(
  name: BrokerName,
  options?: BrokerOptions,
): Promise<(Broker & { readonly ready: boolean }) | undefined>;
