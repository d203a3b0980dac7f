import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, headers, type NatsConnection } from '@nats-io/transport-node';
import { MemoryLog } from '../../src/adapters/memory-log.ts';
import { NatsBus } from '../../src/adapters/nats-bus.ts';
import { filterOf } from '../../src/adapters/nats-consumer.ts';
import { STREAM, SUBJECT } from '../../src/adapters/nats-link.ts';
import { PostgresParked } from '../../src/adapters/postgres-parked.ts';
import { PostgresViews } from '../../src/adapters/postgres-views.ts';
import { nextBelow, seedSfc32 } from '../../src/kernel/rng.ts';
import { type FreshDatabase, freshDatabase } from '../fixtures/database.ts';
import { Counted, Elsewhere, Named, TEST_EVENTS, until } from '../fixtures/events-of-tests.ts';
import { PrivateNats } from '../fixtures/nats-server.ts';

/** Deletions in the test that goes on deleting. */
const DELETIONS = 20;

describe('the bus over NATS', function () {
  this.timeout(60_000);
  let nats: PrivateNats;
  let db: FreshDatabase;
  let log: MemoryLog;
  let store: PostgresViews;
  let bus: NatsBus;
  let handled: number[];
  let connection: NatsConnection | undefined;

  beforeEach(async () => {
    [nats, db] = await Promise.all([PrivateNats.start(), freshDatabase()]);
    log = new MemoryLog({ catalogue: TEST_EVENTS });
    store = new PostgresViews(db.database);
    handled = [];
    bus = open();
  });
  afterEach(async () => {
    await connection?.close();
    connection = undefined;
    await bus.close();
    await store.close();
    await Promise.all([nats.stop(), db.drop()]);
  });

  function open(streamBytesMax?: number): NatsBus {
    return new NatsBus({
      url: nats.url,
      log,
      store,
      parked: new PostgresParked(db.database),
      catalogue: TEST_EVENTS,
      retryFirstMs: 5,
      retryMaxMs: 50,
      ...(streamBytesMax === undefined ? {} : { streamBytesMax }),
    });
  }
  const consume = (name = 'reader', types: readonly string[] = [Counted.type]): Promise<() => Promise<void>> =>
    bus.consume({
      name,
      types,
      handle: async ({ event }) => {
        handled.push((event.payload as { n: number }).n);
      },
    });
  async function count(from: number, to: number): Promise<void> {
    for (let n = from; n <= to; n++) await log.append({ stream: 'test/a', expected: 'any', events: [Counted({ n })] });
  }
  const numbers = (to: number): number[] => Array.from({ length: to }, (_, at) => at + 1);
  const distinct = (): number[] => [...new Set(handled)].sort((a, b) => a - b);
  const hasAll = (to: number): Promise<void> =>
    until(
      () => distinct().length === to,
      () => `${distinct().length} of ${to} handled: ${JSON.stringify(bus.readings)} relay ${JSON.stringify(bus.relay)}`,
      30_000,
    );
  /** Waits until the consumer pulls, so that what follows comes by way of NATS. */
  const isLive = (name = 'reader'): Promise<void> =>
    until(async () => (await store.checkpoint(`bus/${name}`)).version > 1, 'a consumer that pulls', 30_000);
  async function manager() {
    connection ??= await connect({ servers: nats.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    return { jsm: await jetstreamManager(connection), js: jetstream(connection) };
  }

  it('relays each event once, under a subject of its type, with its position as the message id', async () => {
    await log.append({
      stream: 'test/a',
      expected: 0,
      events: [Counted({ n: 1 }), Named({ name: "Robert'); drop table" }), Elsewhere({ n: 3 })],
    });
    const { jsm } = await manager();
    await until(() => bus.relay.publishedTotal === 3, 'three published');
    const messages = await Promise.all([1, 2, 3].map((seq) => jsm.streams.getMessage(STREAM, { seq })));
    assert.deepEqual(
      messages.map((message) => [message!.subject, message!.header.get('Nats-Msg-Id')]),
      [
        [`${SUBJECT}.test.counted`, '1'],
        [`${SUBJECT}.test.named`, '2'],
        [`${SUBJECT}.other.happened`, '3'],
      ],
    );
    // The same again, as after a crash before the checkpoint was stored.
    await bus.close();
    await store.advance('nats/relay', 3, { position: 0, version: 1 }, async () => undefined);
    bus = open();
    await until(async () => (await store.checkpoint('nats/relay')).position === 3, 'the checkpoint');
    assert.equal((await jsm.streams.info(STREAM)).state.messages, 3);
  });

  it('delivers through NATS what comes after a consumer began, in order and once', async () => {
    await consume();
    await isLive();
    await count(1, 500);
    await hasAll(500);
    assert.deepEqual(handled, numbers(500));
    assert.equal(bus.readings[0]!.catchUpsTotal, 1);
    await until(async () => (await store.checkpoint('bus/reader')).position === 500, 'the checkpoint');
  });

  it('picks the narrowest subject that one filter can name', () => {
    assert.equal(filterOf(['test.counted']), 'hypogeum.events.test.counted');
    assert.equal(filterOf(['test.counted', 'test.counted']), 'hypogeum.events.test.counted');
    assert.equal(filterOf(['test.counted', 'test.named']), 'hypogeum.events.test.*');
    assert.equal(filterOf(['test.counted', 'other.happened']), 'hypogeum.events.>');
  });

  it('delays and loses nothing while NATS is down, and comes up before it', async () => {
    await consume();
    await isLive();
    await count(1, 50);
    await hasAll(50);
    await nats.kill();
    await count(51, 120);
    await until(() => bus.relay.error !== undefined, 'the relay says so');
    await nats.restart();
    await hasAll(120);
    await bus.close();
    await nats.kill();
    bus = open();
    await consume();
    await count(121, 130);
    await until(() => bus.relay.phase === 'stopped', 'the relay says so');
    await nats.restart();
    await hasAll(130);
  });

  it('loses nothing when NATS comes back with nothing in it, whatever was under way', async () => {
    await consume();
    await isLive();
    for (let round = 0; round < 2; round++) {
      const counting = count(round * 200 + 1, (round + 1) * 200);
      await until(() => handled.length > round * 200 + 20, 'some of them');
      await nats.kill();
      await nats.wipe();
      await counting;
      await nats.restart();
      await hasAll((round + 1) * 200);
    }
    assert.deepEqual(distinct(), numbers(400));
  });

  it('publishes again what a NATS that was set back has lost, also when nothing new happens', async () => {
    await consume();
    await isLive();
    await count(1, 30);
    await hasAll(30);
    await nats.kill();
    await nats.remember();
    await nats.restart();
    await count(31, 40);
    await hasAll(40);
    await nats.kill();
    await nats.setBack();
    await nats.restart();
    const { jsm } = await manager();
    const newest = async (): Promise<string | undefined> => {
      const { state } = await jsm.streams.info(STREAM).catch(() => ({ state: { last_seq: 0 } }));
      if (state.last_seq === 0) return undefined;
      return (await jsm.streams.getMessage(STREAM, { seq: state.last_seq }).catch(() => null))?.header.get(
        'Nats-Msg-Id',
      );
    };
    await until(async () => (await newest()) === '40', 'the newest event in the stream', 30_000);
    await count(41, 45);
    await hasAll(45);
  });

  it('begins anew from its checkpoint when somebody deletes the consumer or the stream', async () => {
    await consume();
    await isLive();
    await count(1, 20);
    await hasAll(20);
    const { jsm } = await manager();
    const version = async (): Promise<number> => (await store.checkpoint('bus/reader')).version;
    const isAnother = async (former: number): Promise<boolean> => ![1, former].includes(await version());
    const first = await version();
    await jsm.consumers.delete(STREAM, 'reader');
    await count(21, 40);
    await hasAll(40);
    await until(() => isAnother(first), 'a new consumer', 30_000);
    const second = await version();
    await jsm.streams.delete(STREAM);
    await until(() => isAnother(second), 'a consumer of the new stream', 30_000);
    await count(41, 60);
    await hasAll(60);
  });

  it('loses nothing however often, and however soon after one another, somebody deletes consumer and stream', async () => {
    await consume();
    await isLive();
    const { jsm } = await manager();
    const dice = new Int32Array(4);
    seedSfc32(dice, 0, 20_261_126);
    let last = 0;
    const tolerant = (deletion: Promise<unknown>): Promise<unknown> => deletion.catch(() => undefined);
    for (let round = 0; round < DELETIONS; round++) {
      const first = last + 1;
      last += 5 + nextBelow(dice, 0, 15);
      const appending = count(first, last);
      await delay(nextBelow(dice, 0, 30));
      if (nextBelow(dice, 0, 10) < 4) await tolerant(jsm.consumers.delete(STREAM, 'reader'));
      else await tolerant(jsm.streams.delete(STREAM));
      await appending;
      // Sometimes what was deleted has been made good by then, sometimes not.
      await delay(nextBelow(dice, 0, 1 + nextBelow(dice, 0, 1_500)));
    }
    await hasAll(last);
  });

  it('reads from the log what a full stream let go before it was handled', async () => {
    await bus.close();
    bus = open(64 * 1024);
    await consume();
    await isLive();
    await count(1, 10);
    await hasAll(10);
    let open_ = (): void => undefined;
    const gate = new Promise<void>((resolve) => {
      open_ = resolve;
    });
    let isFirst = true;
    const slow: number[] = [];
    await bus.consume({
      name: 'slow',
      types: [Counted.type],
      handle: async ({ event }) => {
        const { n } = event.payload as { n: number };
        if (n > 10 && isFirst) {
          isFirst = false;
          await gate;
        }
        slow.push(n);
      },
    });
    await isLive('slow');
    await count(11, 900);
    const { jsm } = await manager();
    await until(async () => (await jsm.streams.info(STREAM)).state.first_seq > 300, 'messages evicted', 30_000);
    open_();
    await until(
      () => new Set(slow).size === 900,
      () => `${new Set(slow).size} of 900`,
      30_000,
    );
  });

  it('throws away messages of strangers, and reads the log for one of ours that is damaged', async () => {
    await consume();
    await isLive();
    await count(1, 5);
    await hasAll(5);
    const { js } = await manager();
    const subject = `${SUBJECT}.${Counted.type}`;
    await js.publish(subject, 'not JSON and no id');
    await js.publish(subject, '{}', { msgID: "1'; drop table" });
    await js.publish(subject, JSON.stringify({ position: 9_999, type: Counted.type, shape: 1, payload: { n: 1 } }), {
      msgID: '9999',
    });
    await until(
      () => bus.readings[0]!.foreignTotal === 3,
      () => JSON.stringify(bus.readings),
      20_000,
    );
    // As if the relay's own message of position 6 had been garbled: its id is taken.
    const h = headers();
    h.set('Nats-Msg-Id', '6');
    await js.publish(subject, '{"position":6,"type":"test.counted","shape":1,"payload":{"n":"six"}}', { headers: h });
    await count(6, 8);
    await hasAll(8);
    assert.deepEqual(distinct(), numbers(8));
    assert.deepEqual(await new PostgresParked(db.database).list(), []);
  });

  it('parks poison in the database, where it survives NATS', async () => {
    const parked = new PostgresParked(db.database);
    let isCured = false;
    await bus.consume({
      name: 'poisoned',
      types: [Counted.type],
      attemptsMax: 3,
      handle: async ({ event }) => {
        const { n } = event.payload as { n: number };
        if (n === 2 && !isCured) throw new Error("it's poison");
        handled.push(n);
      },
    });
    await isLive('poisoned');
    await count(1, 3);
    await until(async () => (await parked.list('bus/poisoned')).length === 1, 'parked');
    await until(() => handled.includes(3), 'the others');
    assert.equal((await parked.list())[0]!.attempts, 3);
    await nats.kill();
    await nats.wipe();
    await nats.restart();
    isCured = true;
    await parked.replay('bus/poisoned', 2);
    await hasAll(3);
    await until(async () => (await parked.list()).length === 0, 'nothing parked');
  });
});
