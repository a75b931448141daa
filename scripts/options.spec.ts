import { ApiOptions, OPTIONS_OF_THE_PROJECTOR } from '../apps/api/src/api.options.js';
import { OPTIONS_OF_THE_API, ProjectorOptions } from '../apps/projector/src/projector.options.js';

/** The properties of one options class that the other one does not have. */
const onlyIn = (one: object, other: object): string[] => Object.keys(one).filter((name) => !Object.hasOwn(other, name));

describe('options of two programs in one environment', () => {
  it('are known to the projector where they are for the api alone', () => {
    expect([...OPTIONS_OF_THE_API].sort()).toEqual(onlyIn(new ApiOptions(), new ProjectorOptions()).sort());
  });

  it('are known to the api where they are for the projector alone', () => {
    expect([...OPTIONS_OF_THE_PROJECTOR].sort()).toEqual(onlyIn(new ProjectorOptions(), new ApiOptions()).sort());
  });
});
