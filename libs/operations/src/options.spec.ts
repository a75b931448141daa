import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IsIn, IsInt, IsNotEmpty, Matches, Max, Min, MinLength } from 'class-validator';
import { EngineOptions, HttpOptions } from './engine-options.js';
import { BadOptions, loadOptions, Option, optionsHelp } from './options.js';

class Parent {
  @Option('port to listen on')
  @IsInt()
  @Min(0)
  @Max(65_535)
  httpPort = 8080;

  @Option('yes or no')
  fastLane = false;
}

class Sample extends Parent {
  override httpPort = 9000;

  @Option('brokers')
  @Matches(/^\w+:\d+$/, { each: true, message: 'each must be host:port' })
  brokers: readonly string[] = ['here:1'];

  @Option('one of two')
  @IsIn(['left', 'right'])
  side = 'left';

  @Option('a name')
  @IsNotEmpty()
  name = 'nobody';

  @Option('a password', { secret: true })
  @MinLength(8)
  password = 'long enough';
}

const refusal = (env: Record<string, string>): string => {
  try {
    loadOptions(Sample, env);
  } catch (error) {
    if (error instanceof BadOptions) return error.message;
    throw error;
  }
  throw new Error('was not refused');
};

describe('loading options', () => {
  let folder: string;
  const file = (text: string): string => {
    const path = join(folder, 'options.yaml');
    writeFileSync(path, text);
    return path;
  };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'options-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('gives the defaults when nothing is said, those of the subclass first', () => {
    expect(loadOptions(Sample, { PATH: '/bin' })).toEqual(new Sample());
    expect(loadOptions(Sample, {}).httpPort).toBe(9000);
  });

  it('reads variables in the type of the default', () => {
    const env = { CS_HTTP_PORT: '0', CS_FAST_LANE: 'true', CS_BROKERS: 'a:1, b:2', CS_SIDE: 'right', CS_NAME: '007' };
    expect(loadOptions(Sample, env)).toMatchObject({
      httpPort: 0,
      fastLane: true,
      brokers: ['a:1', 'b:2'],
      side: 'right',
      name: '007',
    });
  });

  it('reads the file that CS_CONFIG names, and lets the environment win', () => {
    const path = file('http-port: 81\nfast-lane: true\nname: 007\nbrokers:\n  - a:1\n  - b:2\n');
    const options = loadOptions(Sample, { CS_CONFIG: path, CS_HTTP_PORT: '82' });
    expect(options).toMatchObject({ httpPort: 82, fastLane: true, name: '007', brokers: ['a:1', 'b:2'] });
    expect(loadOptions(Sample, { CS_CONFIG: file('# nothing\n') })).toEqual(new Sample());
  });

  it.each([
    [{ CS_HTTP_PORT: '80a' }, 'CS_HTTP_PORT=80a: must be a number'],
    [{ CS_HTTP_PORT: '' }, 'CS_HTTP_PORT=: must be a number'],
    [{ CS_HTTP_PORT: '0x10' }, 'CS_HTTP_PORT=0x10: must be a number'],
    [{ CS_HTTP_PORT: '1.5' }, 'CS_HTTP_PORT=1.5: must be an integer number'],
    [{ CS_HTTP_PORT: '70000' }, 'CS_HTTP_PORT=70000: must not be greater than 65535'],
    [{ CS_FAST_LANE: 'yes' }, 'CS_FAST_LANE=yes: must be true or false'],
    [{ CS_BROKERS: 'a:1,,b:2' }, 'CS_BROKERS=a:1,,b:2: must be a list, separated by commas'],
    [{ CS_BROKERS: 'a:1,b' }, 'CS_BROKERS=a:1,b: each must be host:port'],
    [{ CS_SIDE: 'up\ndown' }, 'CS_SIDE=up down: must be one of the following values: left, right'],
    [{ CS_NAME: ' ' }, 'CS_NAME= : should not be empty'],
    [{ CS_HTP_PORT: '80' }, 'CS_HTP_PORT: unknown option, did you mean CS_HTTP_PORT?'],
    [
      { CS_ZEBRA_CROSSING_LIGHTS: '80' },
      'CS_ZEBRA_CROSSING_LIGHTS: unknown option, must be one of those that --help lists',
    ],
    [{ CS_CONFIG: '/no/such/file' }, 'CS_CONFIG=/no/such/file: must be a file that can be read (ENOENT)'],
  ])('refuses %j in one line', (env, line) => {
    expect(refusal(env)).toBe(line);
  });

  it.each([
    ['http-port: many', 'http-port (in FILE)=many: must be a number'],
    ['http-port: [1, 2]', 'http-port (in FILE)=["1","2"]: must be a number'],
    ['name: { first: a }', 'name (in FILE)={"first":"a"}: must be a text'],
    ['brokers: { a: 1 }', 'brokers (in FILE)={"a":"1"}: must be a list, separated by commas'],
    ['http-prt: 1', 'http-prt (in FILE): unknown option, did you mean http-port?'],
    ['httpPort: 1', 'httpPort (in FILE): unknown option, did you mean http-port?'],
    ['__proto__: 1', '__proto__ (in FILE): unknown option, must be one of those that --help lists'],
    ['- a', "CS_CONFIG=FILE: must hold lines of the form 'http-port: 8080'"],
    ['name: a\nname: b', 'CS_CONFIG=FILE: must be YAML (DUPLICATE_KEY in line 2)'],
    ['name: "secret', 'CS_CONFIG=FILE: must be YAML (MISSING_CHAR in line 1)'],
  ])('refuses a file with %j in one line', (text, line) => {
    const path = file(text);
    expect(refusal({ CS_CONFIG: path })).toBe(line.replaceAll('FILE', path));
  });

  it('names every problem at once', () => {
    expect(refusal({ CS_HTTP_PORT: 'x', CS_SIDE: 'up' })).toBe(
      'CS_HTTP_PORT=x: must be a number; CS_SIDE=up: must be one of the following values: left, right',
    );
  });

  it('never shows a secret', () => {
    expect(refusal({ CS_PASSWORD: 'hunter2' })).toBe(
      'CS_PASSWORD=(not shown): must be longer than or equal to 8 characters',
    );
    expect(refusal({ CS_PASWORD: 'hunter2' })).not.toContain('hunter2');
    expect(refusal({ CS_CONFIG: file('password: [hunter2]') })).not.toContain('hunter2');
    expect(optionsHelp(Sample)).not.toContain('long enough');
  });

  it('leaves CS_TEST_* and what another program reads alone, but not a slip in it', () => {
    expect(() =>
      loadOptions(Sample, { CS_TEST_KAFKA: 'x', CS_BASE_PATH: '/' }, { alsoKnown: ['basePath'] }),
    ).not.toThrow();
    expect(() => loadOptions(Sample, { CS_BASE_PAHT: '/' }, { alsoKnown: ['basePath'] })).toThrow('CS_BASE_PATH?');
  });

  it('explains every option in the help', () => {
    expect(optionsHelp(Sample).split('\n')).toEqual([
      '  CS_CONFIG     a YAML file with options, http-port: 8080 for CS_HTTP_PORT [none]',
      '  CS_HTTP_PORT  port to listen on [9000]',
      '  CS_FAST_LANE  yes or no [false]',
      '  CS_BROKERS    brokers [here:1]',
      '  CS_SIDE       one of two [left]',
      '  CS_NAME       a name [nobody]',
      '  CS_PASSWORD   a password [secret]',
    ]);
  });
});

describe('the options of the engines', () => {
  class Program extends HttpOptions {
    override httpPort = 8080;
  }

  it('are valid as they are', () => {
    expect(loadOptions(EngineOptions, {})).toMatchObject({
      engine: 'embedded',
      dataDir: 'data',
      tenant: '1',
      partitions: 12,
    });
  });

  it('make an option of every property, with a port of its own for each program', () => {
    const listed = [...optionsHelp(Program).matchAll(/^ {2}(CS_\w+)/gm)].map(([, name]) => name);
    expect(listed).toHaveLength(Object.keys(new Program()).length + 1);
    expect(listed).toContain('CS_CASSANDRA_ACCEPT_PERIODIC_COMMIT_LOG');
    expect(loadOptions(Program, { CS_HTTP_PORT: '81' }).httpPort).toBe(81);
  });

  it.each([
    ['CS_ENGINE', 'Embedded'],
    ['CS_TENANT', '0'],
    ['CS_KAFKA_BROKERS', 'kafka'],
    ['CS_PARTITIONS', '0'],
    ['CS_TOPIC_PREFIX', 'a b'],
    ['CS_CASSANDRA_KEYSPACE', 'Robert; drop'],
    ['CS_CASSANDRA_CONSISTENCY', 'one'],
    ['CS_HTTP_PORT', '65536'],
  ])('refuse %s=%s', (name, value) => {
    expect(() => loadOptions(Program, { [name]: value })).toThrow(`${name}=${value}: `);
  });
});
