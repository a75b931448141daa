import { Program, call, describeOn, leave, newPlace, until, type Answered, type Place } from './processes.js';

/** Calls go to one process after another; the position goes along, so each sees what the one before it did. */
class Caller {
  private position = '';
  private turn = 0;

  constructor(readonly apis: readonly Program[]) {}

  async send(method: string, route: string, body?: unknown): Promise<Answered> {
    const api = this.apis[this.turn++ % this.apis.length]!;
    const answer = await call(api, method, route, body, this.position ? { 'x-cs-position': this.position } : {});
    this.position = answer.headers.get('x-cs-position') ?? this.position;
    return answer;
  }
}

for (const engine of ['embedded', 'distributed'] as const) {
  describeOn(engine, 'a conversation', () => {
    let place: Place;
    let apis: Program[] = [];
    let projectors: Program[] = [];
    let cases = 0;
    const count = engine === 'distributed' ? 2 : 1;

    const startAll = async () => {
      projectors = await Promise.all(Array.from({ length: count }, () => Program.start('projector', place)));
      apis = await Promise.all(Array.from({ length: count }, () => Program.start('api', place)));
      await Promise.all([...projectors, ...apis].map((program) => program.ready()));
    };

    beforeAll(async () => {
      place = newPlace(engine);
      await startAll();
    }, 120_000);

    afterEach(() => {
      cases += 1;
    });

    afterAll(async () => {
      await Promise.all([...apis, ...projectors].map((program) => program.end()));
      leave(place);
      process.stdout.write(
        `suite: Conversation, adapter: ${engine}, partitions: ${place.partitions}, processes: ${2 * count}, cases: ${cases}\n`,
      );
    });

    it('goes from its start through states and tasks to its end, and lists show it', async () => {
      const caller = new Caller(apis);
      const started = await caller.send('POST', 'services/start', {
        contact_key: '42',
        service_type: 'MyService1',
        interaction_id: '123ABCAADFJ1259ACF',
        est_duration: 60,
        relatedOffers: [{ offer_name: 'VIP credit card', type: '9' }],
      });
      expect(started.status).toBe(201);
      const id = started.body.service_id as string;
      expect(started.headers.get('location')).toBe(`/genesys/1/cs/services/${id}`);

      const anonymous = await caller.send('GET', 'services/anonymous/42/active');
      expect(anonymous.body).toEqual([expect.objectContaining({ service_id: id, contact_key: '42' })]);

      expect(
        await caller.send('POST', `customers/0004Va58A92T0018/services/${id}`, { media_type: 'voice' }),
      ).toMatchObject({ status: 200, body: {} });
      expect((await caller.send('GET', 'services/anonymous/42')).body).toEqual([]);

      const waiting = await caller.send('POST', `services/${id}/states/start`, { state_type: 'WaitingForAgent' });
      expect(waiting.status).toBe(201);
      const state = waiting.body.state_id as string;
      const moved = await caller.send('POST', `services/${id}/states/transition`, {
        from: { state_id: state, disposition: 'ok', Feedback: { score: 5 } },
        to: { state_type: 'Delivering', est_duration: 30 },
      });
      expect(moved.status).toBe(201);

      const task = await caller.send('POST', `services/${id}/tasks/start`, {
        task_type: 'CheckIdentity',
        state_id: moved.body.state_id,
      });
      expect(task.status).toBe(201);
      expect(
        (await caller.send('POST', `services/${id}/tasks/${task.body.task_id}/end`, { disposition: 'done' })).status,
      ).toBe(204);
      expect((await caller.send('PUT', `services/${id}/extensions/Satisfaction`, { stars: 4 })).status).toBe(200);
      expect((await caller.send('POST', `services/${id}/end`, { disposition: 'sold' })).status).toBe(204);

      const whole = await caller.send(
        'GET',
        `services/${id}?active_states=true&completed_states=true&completed_tasks=true&extensions=*`,
      );
      expect(whole.status).toBe(200);
      expect(whole.body).toMatchObject({
        service_id: id,
        customer_id: '0004Va58A92T0018',
        service_type: 'MyService1',
        est_duration: 60,
        started: { interaction_id: '123ABCAADFJ1259ACF', media_type: 'voice' },
        disposition: 'sold',
        relatedOffers: [{ offer_name: 'VIP credit card', type: '9' }],
        Satisfaction: { stars: 4 },
        completed_states: [{ state_id: state, disposition: 'ok', Feedback: { score: 5 } }],
        active_states: [
          {
            state_id: moved.body.state_id,
            previous_state_id: state,
            est_duration: 30,
            completed_tasks: [{ task_id: task.body.task_id, disposition: 'done' }],
          },
        ],
      });
      expect((await caller.send('GET', 'customers/0004Va58A92T0018/services/active')).body).toEqual([]);
      expect((await caller.send('GET', 'customers/0004Va58A92T0018/services/completed')).body).toHaveLength(1);

      const again = await caller.send('POST', `services/${id}/end`);
      expect(again.status).toBe(409);
      expect(again.body.exception).toBe('com.genesyslab.gsg.services.contextservices.exceptions.ConflictException');

      expect((await caller.send('DELETE', `services/${id}`)).status).toBe(200);
      const gone = await caller.send('GET', `services/${id}`);
      expect(gone).toMatchObject({ status: 404, body: { message: `There are no service found for : ${id}` } });
      expect((await caller.send('GET', 'customers/0004Va58A92T0018/services')).body).toEqual([]);
    }, 60_000);

    it('lets exactly one of eight parallel ends win', async () => {
      const rounds = engine === 'distributed' ? 500 : 50;
      const outcomes = new Map<number, number>();
      const round = async (number: number) => {
        const { body } = await call(apis[number % count]!, 'POST', 'services/start', { contact_key: `race-${number}` });
        const answers = await Promise.all(
          Array.from({ length: 8 }, (_, n) => call(apis[n % count]!, 'POST', `services/${body.service_id}/end`)),
        );
        const statuses = answers.map(({ status }) => status).sort();
        expect(statuses).toEqual([204, ...Array.from({ length: 7 }, () => 409)]);
        for (const status of statuses) outcomes.set(status, (outcomes.get(status) ?? 0) + 1);
      };
      for (let number = 0; number < rounds; number += 10) {
        await Promise.all(Array.from({ length: 10 }, (_, n) => round(number + n)));
      }
      expect(Object.fromEntries(outcomes)).toEqual({ 204: rounds, 409: 7 * rounds });
    }, 180_000);

    it('has everything that was acknowledged after kill -9 of all processes', async () => {
      const acknowledged = new Set<string>();
      let stopped = false;
      const work = Promise.all(
        Array.from({ length: 8 }, async (_, worker) => {
          while (!stopped) {
            try {
              const { status, body } = await call(apis[worker % count]!, 'POST', 'services/start', {
                customer_id: 'killed',
              });
              if (status === 201) acknowledged.add(body.service_id as string);
            } catch {
              return; // the process is gone: nothing was answered
            }
          }
        }),
      );
      await until('some are acknowledged', () => acknowledged.size > 200);
      await Promise.all([...apis, ...projectors].map((program) => program.end('SIGKILL')));
      stopped = true;
      await work;
      await startAll();
      const listed = await call(apis[0]!, 'GET', 'customers/killed/services');
      expect(listed.status).toBe(200);
      const found = new Set((listed.body as unknown as { service_id: string }[]).map(({ service_id }) => service_id));
      expect([...acknowledged].filter((id) => !found.has(id))).toEqual([]);
    }, 180_000);
  });
}
