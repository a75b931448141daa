/** The places at which a process can be killed or stopped: see the program that is loaded into it. */
export declare function pointsOf(part: 'api' | 'projector' | 'switch', engine: 'embedded' | 'distributed'): string[];
