import type { TcpProxy } from './tcp-proxy.mjs';

export interface HeldProduce {
  /** Resolves when the first request is kept back. */
  readonly reached: Promise<void>;
  /** Lets go what was kept back, and holds no more. */
  release(): void;
}

/** Between Kafka clients and a listener that advertises the proxy's address; knows what is a produce request. */
export declare class KafkaProxy extends TcpProxy {
  /** Stands where the listener (`host:port`) sends its clients to; waits while another test's proxy is there. */
  static override start(listener: string): Promise<KafkaProxy>;
  /** Resolves when it happened: the broker took the produce request, its answer is lost, the connection cut. */
  loseNextProduceAnswer(topic: string): Promise<void>;
  /** Resolves when it happened: the broker never saw the produce request, the connection is cut. */
  loseNextProduceRequest(topic: string): Promise<void>;
  /**
   * Keeps back the produce requests to the topic in which a record contains `text`. Those whose connection is still open
   * reach the broker when they are released, however late. {@link heal} loses what was not released.
   */
  hold(topic: string, text: string): HeldProduce;
}
