/** The folder of the repository. */
export declare const root: string;

/** A person can do something about it: the message says what. */
export declare class Problem extends Error {}

/** Installs the dependencies of the package in this folder, the repository's by default, unless they are there. */
export declare function install(folder?: string): void;

export declare function prepare(what?: { readonly isBuilt?: boolean }): void;
export declare function runSources(program: URL): Promise<void>;
export declare function build(): void;
