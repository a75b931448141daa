import { IsBoolean, IsIn, IsInt, Matches, Max, Min } from 'class-validator';
import { HttpOptions, Option } from '#operations';

const MIB = 1024 * 1024;
const LARGEST_BODY_BYTES = 64 * MIB;

/** Everything that can be set from outside; what is not said here is in {@link HttpOptions}. */
export class ApiOptions extends HttpOptions {
  override httpPort = 8080; // the projector takes 8081

  @Option('path in front of every route of the contract')
  @Matches(/^(\/[A-Za-z0-9._~-]+)*$/, { message: 'must be a path such as /genesys/1/cs, without a slash at its end' })
  basePath = '/genesys/1/cs'; // what callers of the product use

  @Option('more paths under which the same routes answer, separated by commas; / is no path at all')
  @Matches(/^(\/|(\/[A-Za-z0-9._~-]+)+)$/, { each: true, message: 'each must be a path such as /cv, or /' })
  extraBasePaths: readonly string[] = []; // for example /cv, which old callers use

  @Option('largest request body, in bytes')
  @IsInt()
  @Min(1024)
  @Max(LARGEST_BODY_BYTES)
  maxBodyBytes = MIB; // a record of the log must hold it

  @Option('status of answers about ids that do not exist (404, 400)')
  @IsIn([404, 400])
  unknownIdStatus = 404; // 400 is what the product answers

  @Option('whether a start may bring its own service id')
  @IsBoolean()
  allowCustomIds = false; // ids made here carry their partition

  @Option('how long a conversation lives after its last change, a number and one of s m h d w M y')
  @Matches(/^[1-9]\d{0,8}[smhdwMy]$/, { message: 'must be a number and one of s m h d w M y, for example 5y' })
  expiration = '5y'; // the value that the product is tested with

  @Option('whether values that a mapped business attribute does not list are refused')
  @IsBoolean()
  dataValidation = true; // without a mapping it means nothing

  @Option('whether answers show names of mapped values, where the business attribute does not say')
  @IsBoolean()
  mapNames = true; // else DBIDs

  @Option('JSON file with the metadata that a new installation begins with; later starts only check it')
  metadataFile = ''; // the core attributes of profiles alone

  @Option('run the projector inside this process (embedded engine only)')
  @IsBoolean()
  projectorInside = false; // npm start sets it

  @Option('records that the projector may be behind before commands are refused')
  @IsInt()
  @Min(1)
  maxLagRecords = 100_000; // some seconds of catching up

  @Option('how often to look how far the projector is, in ms')
  @IsInt()
  @Min(10)
  progressEveryMs = 100; // one small read

  @Option('how long a query waits for the projector when it knows that a row is not new enough, in ms')
  @IsInt()
  @Min(1)
  rowPatienceMs = 2_000;

  @Option('how long a command waits for its record to come back from the log, in ms')
  @IsInt()
  @Min(100)
  appendTimeoutMs = 5_000; // then the outcome is unknown

  @Option('how long a refusal waits for a marker to come back from the log, in ms')
  @IsInt()
  @Min(100)
  barrierTimeoutMs = 5_000;

  @Option('how long a switch to production waits for calls about metadata that are under way, in ms')
  @IsInt()
  @Min(1)
  modeSchemaDrainTimeoutMs = 60_000; // as the product does

  @Option('how long a switch to maintenance waits for calls about services and profiles that are under way, in ms')
  @IsInt()
  @Min(1)
  modeDataDrainTimeoutMs = 60_000; // longer than any call takes that is not stuck

  @Option('how long a process that hangs or has died is taken for alive, in ms')
  @IsInt()
  @Min(500)
  leaseMs = 10_000; // a switch of the mode waits so long for a process that has died

  @Option('memory for conversations that were worked on lately, in MiB')
  @IsInt()
  @Min(1)
  knownStreamsMib = 256;
}

/** What the projector reads from the same file and environment; here it is neither an option nor a mistake. */
export const OPTIONS_OF_THE_PROJECTOR = ['streamsAtOnce', 'rowCacheMib', 'verifyEveryMs'];
