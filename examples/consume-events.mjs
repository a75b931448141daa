// Reads the public topic with a plain Kafka client and prints each event once, in the order of its stream:
//   node examples/consume-events.mjs [host:port] [topic]
// Events come at least once. Dropping what is not higher than the last sequence of its subject makes that exact. A
// consumer with a database keeps `last` there, in one transaction with what it makes of the event.
import { Kafka, logLevel } from 'kafkajs';

const [broker = '127.0.0.1:9092', topic = 'cs.events'] = process.argv.slice(2);
const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.ERROR });
const consumer = kafka.consumer({ groupId: `example-${process.pid}` });
const last = new Map(); // subject -> sequence

await consumer.connect();
await consumer.subscribe({ topic, fromBeginning: true });
await consumer.run({
  eachMessage: async ({ partition, message }) => {
    const attribute = (name) => message.headers?.[`ce_${name}`]?.toString();
    const subject = attribute('subject');
    const sequence = Number(attribute('sequence'));
    if (sequence <= (last.get(subject) ?? 0)) return; // a repeat
    last.set(subject, sequence);
    const place = `${partition}:${message.offset}`;
    console.log(place, attribute('time'), subject, sequence, attribute('type'), message.value?.toString());
  },
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => void consumer.disconnect().then(() => process.exit(0)));
}
