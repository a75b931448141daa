import { IsInt, Max, Min } from 'class-validator';
import { HttpOptions, Option } from '#operations';

const MOST_STREAMS_AT_ONCE = 1_024;

/** Everything that can be set from outside; what is not said here is in {@link HttpOptions}. */
export class ProjectorOptions extends HttpOptions {
  override httpPort = 8081; // the api takes 8080

  @Option('streams of one partition that are projected at the same time')
  @IsInt()
  @Min(1)
  @Max(MOST_STREAMS_AT_ONCE)
  streamsAtOnce = 64; // keeps Cassandra busy; more only makes each write slower

  @Option('memory for rows of recently changed streams, in MiB per partition')
  @IsInt()
  @Min(1)
  rowCacheMib = 8; // some hundreds of conversations, by an estimate that is never too low

  @Option('how often to ask whether the read model still has what it acknowledged, in ms')
  @IsInt()
  @Min(100)
  verifyEveryMs = 5_000; // one small read
}

/** What the api reads from the same file and environment; here it is neither an option nor a mistake. */
export const OPTIONS_OF_THE_API = [
  'metadataFile',
  'basePath',
  'extraBasePaths',
  'maxBodyBytes',
  'unknownIdStatus',
  'allowCustomIds',
  'expiration',
  'dataValidation',
  'mapNames',
  'projectorInside',
  'maxLagRecords',
  'progressEveryMs',
  'rowPatienceMs',
  'appendTimeoutMs',
  'barrierTimeoutMs',
  'modeSchemaDrainTimeoutMs',
  'modeDataDrainTimeoutMs',
  'leaseMs',
  'knownStreamsMib',
];
