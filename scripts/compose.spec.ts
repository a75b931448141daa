import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';
import { loadOptions } from '#operations';
import { ApiOptions } from '../apps/api/src/api.options.js';
import { ProjectorOptions } from '../apps/projector/src/projector.options.js';

interface Service {
  readonly image: string;
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly environment: Readonly<Record<string, string | number>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly volumes?: readonly string[];
  readonly healthcheck?: { readonly test: readonly string[] };
}

const FILE = resolve(import.meta.dirname, '../docker/compose.yml');
const compose = parse(readFileSync(FILE, 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};

const environmentOf = (name: string) =>
  Object.fromEntries(
    Object.entries(compose.services[name]?.environment ?? {}).map(([key, value]) => [key, `${value}`]),
  );

/** The variables that the image itself sets. */
const imageEnvironment = () => {
  const text = readFileSync(join(dirname(FILE), 'Dockerfile'), 'utf8');
  return Object.fromEntries([...text.matchAll(/\b(CS_[A-Z_]+)=(\S+)/g)].map(([, name = '', value]) => [name, value]));
};

describe('the stack of docker/compose.yml', () => {
  it('gives both programs options that they accept, on the distributed engine', () => {
    const api = loadOptions(ApiOptions, { ...imageEnvironment(), ...environmentOf('api') });
    const projector = loadOptions(ProjectorOptions, { ...imageEnvironment(), ...environmentOf('projector') });
    for (const { engine, httpHost, httpPort, kafkaBrokers, cassandraContactPoints } of [api, projector]) {
      expect({ engine, httpHost, httpPort, kafkaBrokers, cassandraContactPoints }).toEqual({
        engine: 'distributed',
        httpHost: '0.0.0.0',
        httpPort: 8080,
        kafkaBrokers: ['kafka:9092'],
        cassandraContactPoints: ['cassandra:9042'],
      });
    }
  });

  it.each(Object.entries(compose.services))(
    '%s waits for services and uses volumes that are there',
    (_name, service) => {
      for (const [name, { condition }] of Object.entries(service.depends_on ?? {})) {
        expect(compose.services[name]?.healthcheck?.test.length).toBeGreaterThan(1);
        expect(condition).toBe('service_healthy');
      }
      for (const volume of service.volumes ?? []) expect(Object.keys(compose.volumes)).toContain(volume.split(':')[0]);
      if (service.build) {
        expect(existsSync(resolve(dirname(FILE), service.build.context, service.build.dockerfile))).toBe(true);
      }
    },
  );

  it('copies into the image only what .dockerignore lets through', () => {
    const root = resolve(dirname(FILE), '..');
    const letThrough = readFileSync(join(root, '.dockerignore'), 'utf8').match(/^!.+$/gm) ?? [];
    const copied = [...readFileSync(join(dirname(FILE), 'Dockerfile'), 'utf8').matchAll(/^COPY (?!--from)(.+) \S+$/gm)];
    const files = copied.flatMap(([, sources = '']) => sources.split(' '));
    expect(files.length).toBeGreaterThan(0);
    for (const file of files) {
      expect(existsSync(join(root, file))).toBe(true);
      expect(letThrough).toContain(`!${file}`);
    }
  });
});
