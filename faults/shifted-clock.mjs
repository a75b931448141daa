// `node --import` this: the process believes that it is so many milliseconds later, or earlier, than the machine does.
const offsetMs = Number(process.env.FAULTS_CLOCK_OFFSET_MS);
const TrueDate = Date;
const trueNow = Date.now.bind(Date);

globalThis.Date = /** @type {DateConstructor} */ (
  new Proxy(TrueDate, {
    construct: (target, args, newTarget) =>
      Reflect.construct(target, args.length === 0 ? [trueNow() + offsetMs] : args, newTarget),
    apply: () => new TrueDate(trueNow() + offsetMs).toString(),
    get: (target, name, receiver) =>
      name === 'now' ? () => trueNow() + offsetMs : Reflect.get(target, name, receiver),
  })
);
