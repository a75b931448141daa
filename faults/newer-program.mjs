// `node --import` this: the program reads one more version of an event than the one that is being tested.
const { schemaVersions } = await import(new URL('../dist/libs/events/src/codec.js', import.meta.url).href);

schemaVersions.ServiceEnded += 1;
