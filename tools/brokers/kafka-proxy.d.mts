export interface HeldProduce {
  /** Resolves when the first request is kept back. */
  readonly reached: Promise<void>;
  /** Lets go what was kept back, and holds no more. */
  release(): void;
}

/** Between Kafka clients and a listener that advertises the proxy's address; loses, delays and cuts on demand. */
export declare class KafkaProxy {
  /** Stands where the listener (`host:port`) sends its clients to; waits while another test's proxy is there. */
  static start(listener: string): Promise<KafkaProxy>;
  /** `host:port` for clients. */
  readonly address: string;
  /** Resolves when it happened: the broker took the produce request, its answer is lost, the connection cut. */
  loseNextProduceAnswer(topic: string): Promise<void>;
  /** Resolves when it happened: the broker never saw the produce request, the connection is cut. */
  loseNextProduceRequest(topic: string): Promise<void>;
  /**
   * Keeps back the produce requests to the topic in which a record contains `text`. Those whose connection is still open
   * reach the broker when they are released, however late.
   */
  hold(topic: string, text: string): HeldProduce;
  /** From now on answers are lost, while requests still reach the broker and connections stay open. */
  silence(): void;
  /** Every answer comes so much later. */
  delay(ms: number): void;
  /** Cuts all connections; new ones are accepted. */
  cut(): void;
  /** Cuts all connections and takes no new ones: the broker cannot be reached. */
  unplug(): void;
  /** Ends silence, delay, unplugging and holds (what was held is lost), and forgets faults that did not happen. */
  heal(): void;
  close(): Promise<void>;
}
