/** Between clients and a broker; loses, delays, slows down and cuts on demand, whatever the two speak. */
export declare class TcpProxy {
  /** In front of `target` (`host:port`), on a free port. */
  static start(target: string): Promise<TcpProxy>;
  /** `host:port` for clients. */
  readonly address: string;
  /** Resolves when it happened: a request went through, what came next is lost, the connection cut. */
  loseNextAnswer(): Promise<void>;
  /** From now on answers are lost, while requests still reach the broker and connections stay open. */
  silence(): void;
  /** Every answer comes so much later. */
  delay(ms: number): void;
  /** Each connection carries so many bytes a second in each direction. */
  throttle(bytesPerSecond: number): void;
  /**
   * What goes this way over the connections of now is lost for good, their ends too, and neither side is told. New ones
   * are sound.
   */
  halfOpen(direction: 'requests' | 'answers'): void;
  /** Cuts all connections; new ones are accepted. */
  cut(): void;
  /** Cuts all connections and takes no new ones: the broker cannot be reached. */
  unplug(): void;
  /** Ends silence, delay, throttling and unplugging, and forgets losses that did not happen. Half-open ones stay so. */
  heal(): void;
  close(): Promise<void>;
}
