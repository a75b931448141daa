/**
 * The rules of the protocol, each left out by a patch of the sources: the simulation must notice. A patch's text has to
 * be in its file exactly once.
 * @typedef {{ readonly file: string, readonly from: string, readonly to: string }} Patch
 * @typedef {{ readonly rule: string, readonly patches: readonly Patch[] }} Mutation
 */

const judge = 'libs/event-log/src/judge.ts';
const arbiter = 'libs/event-log/src/arbiter.ts';
const writer = 'libs/event-log/src/writer.ts';
const streams = 'apps/api/src/services/recent-streams.ts';
const commands = 'apps/api/src/services/command-path.ts';
const composites = 'apps/api/src/services/composite-path.ts';
const queries = 'apps/api/src/services/query-path.ts';
const projection = 'apps/projector/src/projection/projection.ts';
const controlLog = 'apps/api/src/control/control-log.ts';
const metadataPath = 'apps/api/src/control/metadata-path.ts';
const modeSwitch = 'apps/api/src/server-mode/mode-switch.ts';
const gate = 'apps/api/src/server-mode/gate.ts';
const lease = 'apps/api/src/server-mode/process-lease.ts';
/** The timestamps are of the stores' adapters: the simulated one has them too. */
const store = 'simulation/simulated-store.ts';

/** @returns {Mutation} */
const without = (/** @type {string} */ rule, /** @type {Patch[]} */ ...patches) => ({ rule, patches });

export const mutations = [
  /* the rule */
  without('version', {
    file: judge,
    from: `if (record.version <= head.version) return { valid: false, reason: 'version' };`,
    to: '',
  }),
  without('epoch', {
    file: judge,
    from: `if (record.epoch < epoch) return { valid: false, reason: 'epoch' };`,
    to: '',
  }),
  without('expiry', {
    file: judge,
    from: `if (head.expiresAt !== undefined && record.recordedAt >= head.expiresAt && record.type !== 'ServiceExpired') {`,
    to: 'if (false) {',
  }),
  without('fence order', {
    file: judge,
    from: 'export const fenced = (epoch: number, fence: number): number => Math.max(epoch, fence);',
    to: 'export const fenced = (_epoch: number, fence: number): number => fence;',
  }),

  /* the command path */
  without('admission epoch', {
    file: commands,
    from: 'version: head.version + 1, epoch, correlationId }',
    to: 'version: head.version + 1, epoch: this.parts.log.tail(partition).epoch, correlationId }',
  }),
  without('barrier before a refusal', {
    file: commands,
    from: 'if (!(error instanceof Rejected)) throw error;\n        if (barrierPassed)',
    to: 'throw error;',
  }),
  without('a barrier under way does not serve who comes later', {
    file: arbiter,
    from: 'if (place.barrier.ticket?.sentAt === undefined) return place.barrier.passed;',
    to: 'return place.barrier.passed;',
  }),
  without(
    'own record read back',
    {
      file: arbiter,
      from: `this.writer.write({ kind: 'event', ...record });`,
      to: `this.writer.write({ kind: 'event', ...record, acknowledged: () => waiting.settle({
        outcome: 'accepted', recordedAt: 0, position: { partition: record.partition, offset: this.place(record.partition).next } }) });`,
    },
    {
      file: writer,
      from: 'if (rest.length === 0) return;',
      to: 'if (rest.length === 0) return batch.forEach((record) => record.acknowledged?.());',
    },
  ),
  without('own record judged', {
    file: arbiter,
    from: 'if (judgement.valid) {\n        const { partition',
    to: 'if (judgement.valid || own) {\n        const { partition',
  }),
  without(
    'the head is compared in the turn of the append',
    {
      file: commands,
      from: 'if (known.head.version !== head.version) return overtaken;',
      to: '',
    },
    {
      file: arbiter,
      from: `if (this.isBehind(key, head)) return resolve({ outcome: 'void', reason: 'version' });`,
      to: '',
    },
  ),
  without('row version: a row older than the tail knows is not used', {
    file: streams,
    from: 'if ((row?.head.version ?? 0) >= needed) return use(row);',
    to: 'return use(row);',
  }),
  without('nothing is forgotten under a row read in flight', {
    file: streams,
    from: 'while (this.confirmations[0] !== undefined && this.confirmations[0].lastRead < oldest) {',
    to: 'while (this.confirmations[0] !== undefined) {',
  }),
  without('parked refusal', {
    file: streams,
    from: 'if (row?.parkedAtVersion !== undefined) throw parked(id);',
    to: '',
  }),
  without('what was sent is unknown', {
    file: arbiter,
    from: 'if (ticket.withdraw()) reject(new NotApplied',
    to: 'if (ticket.withdraw() || true) reject(new NotApplied',
  }),
  without('what has its answer is not refused', {
    file: commands,
    from: 'const known = await streams.load(id, partition, ',
    to: 'if (command.refusal) throw command.refusal;\n      const known = await streams.load(id, partition, ',
  }),
  without('idempotency key', { file: commands, from: 'if (kept) return answeredFrom(known, kept);', to: '' }),

  /* composite starts */
  without('claim', {
    file: composites,
    from: '? await this.claim(service, own.head.version + 1)',
    to: '? await this.create(service)',
  }),
  without('a contact key alone finds what a customer has too', {
    file: composites,
    from: `(['contact', 'associated'] as const)`,
    to: `(['contact'] as const)`,
  }),
  without('what a keyed composite start has found is recorded before it is used', {
    file: composites,
    from: 'if (!chosen || chosen.created || !idempotency) return chosen;',
    to: 'return chosen;',
  }),
  without('what was recorded first is used, not what this attempt has found', {
    file: composites,
    from: 'event, head: own.head, idempotency })) ? chosen : undefined;',
    to: 'event, head: own.head, idempotency })) ? chosen : chosen;',
  }),
  without('what a claim names is started at the place of the claim', {
    file: composites,
    from: 'head.version === place - 1 &&',
    to: `!('states' in serviceIn(await this.load(id, 'service'))) &&`,
  }),
  without('who recorded something is not told not-applied', {
    file: composites,
    from: 'if (error instanceof Unavailable && isRecorded) {',
    to: 'if (false) {',
  }),

  /* the mode */
  without('fence before the mode is opened', {
    file: modeSwitch,
    from: 'await Promise.all(data.map((log) => fenceAll(log, epoch)));\n',
    to: '\n',
  }),
  without(
    'the mode is opened behind the fences',
    {
      file: modeSwitch,
      from: 'await Promise.all(data.map((log) => fenceAll(log, epoch)));\n',
      to: '\n',
    },
    {
      file: modeSwitch,
      from: 'await control.append(modeStream, event, { epoch, correlationId: correlationOf(epoch) });\n  }\n\n  /** Until',
      to: 'await control.append(modeStream, event, { epoch, correlationId: correlationOf(epoch) });\n    await Promise.all(data.map((log) => fenceAll(log, epoch)));\n  }\n\n  /** Until',
    },
  ),
  without(
    'the control log is fenced too',
    { file: modeSwitch, from: 'await control.fence(epoch);', to: '' },
    { file: controlLog, from: 'epoch,\n        correlationId,', to: 'epoch: this.epoch,\n        correlationId,' },
  ),
  without('a change of metadata has the epoch of its admission', {
    file: metadataPath,
    from: 'const { epoch } = admitted;',
    to: 'const { epoch } = control;',
  }),
  without('a switch that has begun closes the gate', { file: gate, from: 'if (underWay) throw switching();', to: '' }),
  without('a query is not answered in another mode', {
    file: gate,
    from: 'if (this.control.serverMode.epoch !== epoch) throw switching();',
    to: '',
  }),
  without('a process that was not heard of closes its gate', {
    file: lease,
    from: 'return this.monotonic() < this.until;',
    to: 'return this.until > Number.NEGATIVE_INFINITY;',
  }),
  without('barrier before a lease counts again', {
    file: lease,
    from: 'await this.options.onRegained();',
    to: '',
  }),
  // What is in flight cannot be recorded any more, with or without this: what was read may be shown too late.
  without('calls in flight end before a process says that it has drained', {
    file: modeSwitch,
    from: 'const complete = await this.parts.gate.drained(drainedBefore[switching.target], drainMs);',
    to: 'const complete = true;',
  }),
  without('every process that lives is waited for', {
    file: modeSwitch,
    from: 'if (missing.length > 0 && overdueMs <= 0 && control.epoch < begun.epoch) return;',
    to: '',
  }),
  without('a process that does not drain is not waited for without end', {
    file: modeSwitch,
    from: 'missing.length > 0 && overdueMs <= 0 && ',
    to: 'missing.length > 0 && ',
  }),
  without('anybody completes the switch of a process that lives and does not', {
    file: modeSwitch,
    from: ' && overdueMs <= this.times.finisherPatienceMs',
    to: '',
  }),

  /* queries */
  without('a list waits for what its owner gained and lost', {
    file: queries,
    from: 'this.parts.streams.recentOf(owner).map(',
    to: '[].map(',
  }),
  without('barrier before not found', { file: queries, from: 'await this.parts.log.barrier(partition);', to: '' }),
  without('a query waits for what its caller has seen', {
    file: streams,
    from: 'if (this.log.tail(partition).next > offset) continue;',
    to: 'continue;',
  }),

  /* the tail */
  without('tail keeps its place: lower offsets are skipped', {
    file: arbiter,
    from: 'if (record.offset < place.next) return;',
    to: '',
  }),
  without('tail keeps its place: a hole ends the process', {
    file: arbiter,
    from: 'if (record.offset > place.next) {',
    to: 'if (false) {',
  }),

  /* the writer */
  without('single flight', { file: writer, from: 'this.working ??= this.work();', to: 'void this.work();' }),
  without('a partition missing in the result is sent again', {
    file: writer,
    from: 'rest = rest.filter(({ partition }) => !acknowledged.has(partition));',
    to: 'rest = [];',
  }),
  without('a producer that failed for good is thrown away', {
    file: writer,
    from: 'return await this.transport.renew();',
    to: 'return;',
  }),

  /* the projector */
  without('checkpoint after store', {
    file: projection,
    from: 'await inStreamOrder(batch, this.limits.streamsAtOnce, deliver, (stream) => this.save(stream, assignment));\n        if (batch.isStale()) return this.watch.batchLeft(batch.partition);\n        await this.moveCheckpoint(assignment, next, batch.epochs.at(-1)!);',
    to: 'await this.moveCheckpoint(assignment, next, batch.epochs.at(-1)!);\n        await inStreamOrder(batch, this.limits.streamsAtOnce, deliver, (stream) => this.save(stream, assignment));',
  }),
  without(
    'a row knows what it has seen',
    { file: projection, from: 'if (row && record.offset <= row.offset) return;', to: '' },
    {
      file: projection,
      from: 'const judgement = judge(record, head, epoch);',
      to: 'const judgement = judge(record, { ...head, version: record.version - 1 }, epoch);',
    },
  ),
  without('published before it is saved', {
    file: projection,
    from: 'if (unpublished.length > 0) await this.options.publicEvents?.publish(unpublished);\n    await this.options.readModel.save(row, lists);',
    to: 'await this.options.readModel.save(row, lists);\n    if (unpublished.length > 0) await this.options.publicEvents?.publish(unpublished);',
  }),
  without('what came and went in one save is removed', {
    file: 'libs/read-model/src/list-entries.ts',
    from: 'remove: [...without(first.remove, [...insert, ...remove]), ...remove],',
    to: 'remove: without(first.remove, [...insert, ...remove]),',
  }),
  without('timestamp from position', {
    file: store,
    from: 'if (timestamp < cell.timestamp) return;',
    to: '',
  }),
  without('what cannot be projected is parked', {
    file: projection,
    from: 'await this.options.readModel.park({ tenant, stream }, head.version + 1, offset);',
    to: '',
  }),
];
