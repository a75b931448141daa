import { readFileSync } from 'node:fs';

interface Mutation {
  readonly rule: string;
  readonly patches: readonly { readonly file: string; readonly from: string }[];
}

const { mutations } = (await import(new URL('mutations.mjs', import.meta.url).href)) as {
  readonly mutations: readonly Mutation[];
};
const sourceOf = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');

it.each(mutations.map(({ rule, patches }) => [rule, patches] as const))(
  'the patch that leaves out "%s" finds its text once',
  (_rule, patches) => {
    for (const { file, from } of patches) expect([file, sourceOf(file).split(from).length - 1]).toEqual([file, 1]);
  },
);
