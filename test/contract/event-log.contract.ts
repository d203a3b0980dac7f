/** What an EventLog is. Every adapter runs this suite; it is the port's definition. */
import assert from 'node:assert/strict';
import * as z from 'zod';
import { defineEvent, EventCatalogue, type NewEvent } from '../../src/events/event.ts';
import { type Append, type EventLog, LOG_LIMITS, type StoredEvent } from '../../src/events/event-log.ts';
import { GameError } from '../../src/kernel/errors.ts';

export const Noted = defineEvent('log-test.noted', z.strictObject({ text: z.string().max(100_000) }));
export const Counted = defineEvent(
  'log-test.counted',
  z.strictObject({ countMinor: z.int(), tags: z.array(z.string()).optional() }),
  [({ count }) => ({ countMinor: Math.round(count * 100) })],
);
const Unlisted = defineEvent('log-test.unlisted', z.strictObject({}));
export const LOG_TEST_EVENTS = new EventCatalogue([Noted, Counted]);

/** One log under test. */
export interface LogHarness {
  readonly log: EventLog;
  /** What the log takes for the time, ms since 1970. */
  setClock(nowMs: number): void;
  dispose(): Promise<void>;
}

export function isRefusal(code: string, detail: Readonly<Record<string, unknown>> = {}): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof GameError)) throw error;
    assert.equal(error.code, code);
    for (const [name, value] of Object.entries(detail)) assert.deepEqual(error.detail[name], value);
    return true;
  };
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export async function streamOf(log: EventLog, stream: string, after?: number): Promise<StoredEvent[]> {
  return collect(log.read(stream, after));
}

export async function everything(log: EventLog, after = 0, types?: readonly string[]): Promise<StoredEvent[]> {
  const pages = await collect(log.readAll(after, types === undefined ? {} : { types }));
  return pages.flat();
}

const note = (text: string): NewEvent => Noted({ text });
const append = (stream: string, expected: Append['expected'], text: string, key?: string): Append => ({
  stream,
  expected,
  events: [note(text)],
  ...(key === undefined ? {} : { key }),
});
const texts = (events: readonly StoredEvent[]): unknown[] =>
  events.map(({ payload }) => (payload as { text: string }).text);

export function eventLogContract(adapter: string, create: () => Promise<LogHarness>): void {
  describe(`EventLog contract: ${adapter}`, () => {
    let harness: LogHarness;
    let log: EventLog;
    beforeEach(async () => {
      harness = await create();
      log = harness.log;
    });
    afterEach(() => harness.dispose());

    it('begins empty', async () => {
      assert.equal(await log.head(), 0);
      assert.deepEqual(await everything(log), []);
      assert.deepEqual(await streamOf(log, 'a/1'), []);
      assert.deepEqual(await log.findKey('k'), []);
    });

    it('gives back what was appended, with its place in stream and log', async () => {
      harness.setClock(1_000);
      const first = await log.append({ stream: 'a/1', expected: 0, events: [note('one'), Counted({ countMinor: 2 })] });
      harness.setClock(2_000);
      const second = await log.append({ stream: 'b/1', expected: 0, events: [note('three')], key: 'k' });
      assert.deepEqual([first.length, first.position, first.isRepeat], [2, 2, false]);
      assert.deepEqual([second.length, second.position, second.isRepeat], [1, 3, false]);
      const wanted = [
        ['a/1', 1, 1, 'log-test.noted', 1, { text: 'one' }, undefined, 1_000],
        ['a/1', 2, 2, 'log-test.counted', 2, { countMinor: 2 }, undefined, 1_000],
        ['b/1', 1, 3, 'log-test.noted', 1, { text: 'three' }, 'k', 2_000],
      ].map(([stream, seq, position, type, version, payload, key, recordedAtMs]) => ({
        ...{ position, stream, seq, type, version, payload, key, recordedAtMs },
      }));
      assert.deepEqual(await everything(log), wanted);
      assert.deepEqual([...first.events, ...second.events], wanted);
      assert.deepEqual(await streamOf(log, 'a/1'), wanted.slice(0, 2));
      assert.deepEqual(await streamOf(log, 'a/1', 1), wanted.slice(1, 2));
      assert.equal(await log.head(), 3);
    });

    it('refuses an append that expects another length, and says the present one', async () => {
      await log.append(append('a/1', 0, 'one'));
      for (const expected of [0, 2, 1_000_000]) {
        await assert.rejects(log.append(append('a/1', expected, 'x')), isRefusal('LOG_CONFLICT', { length: 1 }));
      }
      await assert.rejects(log.append(append('a/2', 1, 'x')), isRefusal('LOG_CONFLICT', { length: 0 }));
      await log.append(append('a/1', 'any', 'two'));
      await log.append(append('a/1', 2, 'three'));
      assert.deepEqual(texts(await everything(log)), ['one', 'two', 'three']);
    });

    it('lets one of many win who expect the same', async () => {
      const outcomes = await Promise.allSettled(
        Array.from({ length: 50 }, (_, i) => log.append(append('a/1', 0, `${i}`, `k${i}`))),
      );
      assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') isRefusal('LOG_CONFLICT', { length: 1 })(outcome.reason);
      }
      assert.deepEqual(texts(await streamOf(log, 'a/1')), ['0']);
    });

    it('appends calls on one stream in their order, each expecting what those before it make', async () => {
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, i) => log.append(append('a/1', i, `${i}`, `k${i}`))),
      );
      assert.deepEqual(
        answers.map(({ length }) => length),
        answers.map((_, i) => i + 1),
      );
      assert.deepEqual(
        texts(await streamOf(log, 'a/1')),
        answers.map((_, i) => `${i}`),
      );
    });

    it('refuses those of a chain that expected the result of a refused one, and nobody else', async () => {
      const calls = [
        log.append(append('a/1', 0, '0')),
        log.append(append('a/1', 2, '1')),
        log.append(append('a/1', 3, '2')),
        log.append(append('b/1', 0, '3')),
        log.append(append('a/1', 1, '4')),
        log.append(append('a/1', 'any', '5')),
      ];
      const outcomes = await Promise.allSettled(calls);
      assert.deepEqual(
        outcomes.map(({ status }) => status === 'fulfilled'),
        [true, false, false, true, true, true],
      );
      assert.deepEqual(texts(await everything(log)), ['0', '3', '4', '5']);
    });

    it('answers a repeat of a key with the first events, whatever was expected', async () => {
      const events = [note('one'), note('two')];
      const first = await log.append({ stream: 'a/1', expected: 0, events, key: 'k', fingerprint: 'f' });
      await log.append(append('a/1', 2, 'three'));
      for (const expected of [0, 7, 'any'] as const) {
        const again = await log.append({ stream: 'a/1', expected, events: [note('x')], key: 'k', fingerprint: 'f' });
        assert.deepEqual(again, { ...first, isRepeat: true });
      }
      assert.deepEqual(await log.findKey('k'), first.events);
      assert.equal(await log.head(), 3);
    });

    it('refuses a key that stands for another command, and that command only', async () => {
      await log.append({ ...append('a/1', 0, 'one', 'k'), fingerprint: 'f' });
      const outcomes = await Promise.allSettled([
        log.append({ ...append('a/1', 1, 'x', 'k'), fingerprint: 'g' }),
        log.append(append('a/1', 1, 'x', 'k')),
        log.append(append('a/1', 1, 'two', 'k2')),
        log.append({ ...append('b/1', 0, 'x', 'k2'), fingerprint: 'g' }),
      ]);
      for (const i of [0, 1, 3]) isRefusal('KEY_REUSED')((outcomes[i] as PromiseRejectedResult).reason);
      assert.deepEqual(texts(await everything(log)), ['one', 'two']);
    });

    it('appends once what is sent many times at once with one key', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => log.append(append('a/1', 'any', 'one', 'k'))));
      assert.equal(answers.filter(({ isRepeat }) => !isRepeat).length, 1);
      for (const { events, length, position } of answers) {
        assert.deepEqual([events, length, position], [answers[0]!.events, 1, 1]);
      }
      assert.equal(await log.head(), 1);
    });

    it('leaves the key of a refused append unused', async () => {
      const [refused, stored] = await Promise.allSettled([
        log.append(append('a/1', 5, 'x', 'k')),
        log.append(append('a/1', 0, 'one', 'k')),
      ]);
      assert.equal(refused.status, 'rejected');
      assert.equal(stored.status === 'fulfilled' && stored.value.isRepeat, false);
      assert.deepEqual(texts(await log.findKey('k')), ['one']);
    });

    it('keeps keys and streams apart that begin alike or differ in case', async () => {
      for (const [i, name] of [
        'a',
        'A',
        'a ',
        'ab',
        "a'; drop table events; --",
        'a%',
        'a\\',
        '$1',
        '{a,"b"}',
      ].entries()) {
        const { position, isRepeat } = await log.append(append(name, 0, name, name));
        assert.deepEqual([position, isRepeat], [i + 1, false]);
        assert.deepEqual(texts(await log.findKey(name)), [name]);
      }
    });

    it('keeps text exactly, whatever is in it', async () => {
      const all = [
        "'; drop table events; --",
        '\u0000\u0001',
        '"\\\n\r\t',
        '🎮é\u2028',
        '\ud800',
        '{}[],',
        'x'.repeat(20_000),
      ];
      await Promise.all(all.map((text, i) => log.append(append('a/1', i, text))));
      assert.deepEqual(texts(await streamOf(log, 'a/1')), all);
    });

    it('refuses what does not fit its definition, and takes what comes with it', async () => {
      const wrong = { ...Noted({ text: '' }), payload: { text: 1 } };
      const outcomes = await Promise.allSettled([
        log.append({ stream: 'a/1', expected: 0, events: [note('one'), wrong] }),
        log.append({ stream: 'a/1', expected: 0, events: [Unlisted({})] }),
        log.append({ stream: 'a/1', expected: 0, events: [{ ...Counted({ countMinor: 1 }), version: 1 }] }),
        log.append(append('a/1', 0, 'one')),
      ]);
      const reasons = outcomes.map((outcome) => (outcome as PromiseRejectedResult).reason);
      assert.ok(reasons[0] instanceof TypeError && reasons[2] instanceof TypeError);
      isRefusal('EVENT_UNKNOWN')(reasons[1]);
      assert.deepEqual(texts(await everything(log)), ['one']);
    });

    it('refuses what is past its bounds', async () => {
      const { streamCharsMax, keyCharsMax, eventsPerAppendMax, payloadBytesMax } = LOG_LIMITS;
      const good = append('a/1', 'any', 'x');
      const bad: Append[] = [
        { ...good, stream: '' },
        { ...good, stream: 'a'.repeat(streamCharsMax + 1) },
        { ...good, stream: 'a\u0000' },
        { ...good, stream: 'é' },
        { ...good, key: '' },
        { ...good, key: 'a'.repeat(keyCharsMax + 1) },
        { ...good, key: 'k', fingerprint: '\n' },
        { ...good, events: [] },
        { ...good, events: Array.from({ length: eventsPerAppendMax + 1 }, () => note('x')) },
        { ...good, events: [note('x'.repeat(payloadBytesMax))] },
        { ...good, events: [note('€'.repeat(payloadBytesMax / 3))] },
        ...[-1, 0.5, Number.NaN, 2 ** 53].map((expected) => ({ ...good, expected })),
      ];
      for (const each of bad) await assert.rejects(log.append(each), RangeError);
      const { length } = await log.append({
        stream: 'a'.repeat(streamCharsMax),
        expected: 0,
        key: 'k'.repeat(keyCharsMax),
        events: Array.from({ length: eventsPerAppendMax }, () => note('€')),
      });
      assert.equal(length, eventsPerAppendMax);
    });

    it('never records a time before that of the position before', async () => {
      harness.setClock(5_000_000);
      await log.append(append('a/1', 0, 'one'));
      harness.setClock(5_000_000 - 3_600_000);
      await log.append(append('b/1', 0, 'two'));
      harness.setClock(5_000_001);
      await log.append(append('a/1', 1, 'three'));
      const times = (await everything(log)).map(({ recordedAtMs }) => recordedAtMs);
      assert.deepEqual(times, [5_000_000, 5_000_000, 5_000_001]);
    });

    it('reads everything in pages, from any position, all types or some', async () => {
      const events = Array.from({ length: 25 }, (_, i) => (i % 5 === 0 ? Counted({ countMinor: i }) : note(`${i}`)));
      await log.append({ stream: 'a/1', expected: 0, events });
      const sizes = async (after: number, options: object) =>
        (await collect(log.readAll(after, options))).map((page) => page.length);
      assert.deepEqual(await sizes(0, { pageMax: 10 }), [10, 10, 5]);
      assert.deepEqual(await sizes(5, { pageMax: 10 }), [10, 10]);
      assert.deepEqual(await sizes(25, {}), []);
      assert.deepEqual(await sizes(1_000, {}), []);
      assert.deepEqual(await sizes(0, { pageMax: 2, types: [Counted.type] }), [2, 2, 1]);
      const positions = (await everything(log, 1, [Counted.type])).map(({ position }) => position);
      assert.deepEqual(positions, [6, 11, 16, 21]);
      assert.deepEqual(await everything(log, 0, []), []);
      for (const pageMax of [0, 1.5, 10_001]) {
        await assert.rejects(collect(log.readAll(0, { pageMax })), RangeError);
      }
    });

    it('calls watchers after an append, and at least every second, until they end it', async () => {
      let calls = 0;
      let onCall: () => void = () => undefined;
      const called = (): Promise<void> => new Promise((resolve) => (onCall = resolve));
      const end = log.watch(() => {
        calls++;
        onCall();
      });
      let others = 0;
      const endOther = log.watch(() => others++);
      const soon = called();
      await log.append(append('a/1', 0, 'one'));
      await soon;
      await called();
      endOther();
      assert.ok(others >= 2);
      const othersAtEnd = others;
      await called();
      end();
      const callsAtEnd = calls;
      await log.append(append('a/1', 1, 'two'));
      await new Promise(setImmediate);
      assert.deepEqual([others, calls], [othersAtEnd, callsAtEnd]);
    });
  });
}
