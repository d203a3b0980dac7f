import assert from 'node:assert/strict';
import { replayLines } from '../../clients/browser/hud/replay-lines.ts';
import { LateEvents } from '../../clients/browser/net/late-events.ts';
import { NetMeter } from '../../clients/browser/net/net-meter.ts';
import { codeIn, sentenceFor, sentenceOf } from '../../clients/browser/net/sentences.ts';
import { OwnRifle, traceShot } from '../../clients/browser/play/rifle.ts';
import { ServerTick } from '../../clients/browser/play/server-tick.ts';
import { CLOSE, ERRORS } from '../../src/kernel/errors.ts';
import { arenaMap } from '../../src/sim/map.ts';
import { BUTTONS, RIFLE_COOLDOWN_TICKS, RIFLE_RANGE_UNITS } from '../../src/sim/tuning.ts';

describe("the door's list of matches", () => {
  const played = { createdAtMs: 0, ticks: 2700, tickRateHz: 30 };
  const standings = [{ name: 'Aelia' }, { name: 'Drusa' }];

  it('names the winner of a match that was played to its end, and of no other', () => {
    const replays = ['completed', 'abandoned', 'shutdown'].map((reason) => ({
      ...played,
      id: reason,
      result: { reason, standings },
    }));
    const notes = replayLines({ replays: [...replays, { ...played, id: 'cut short' }] }, 9).map(({ note }) => note);
    assert.deepEqual(notes, ['won by Aelia · 1.5 min', '1.5 min', '1.5 min', '1.5 min']);
  });

  it('is empty for whatever is no list, and no longer than asked for', () => {
    assert.deepEqual(replayLines({ replays: 'many' }, 4), []);
    assert.deepEqual(replayLines({ replays: [{ id: 7 }, {}] }, 4), []);
    assert.equal(replayLines({ replays: Array(9).fill({ ...played, id: 'a' }) }, 4).length, 4);
  });
});

describe('the sentences of the client', () => {
  it('has a plain one for every code of the catalogue', () => {
    for (const code of Object.keys(ERRORS)) {
      const sentence = sentenceFor(code);
      assert.match(sentence, /^[A-Z].*\.$/, `${code} reads: ${sentence}`);
      assert.ok(!sentence.includes(code) || code.length < 4, `${code} is shown raw`);
    }
  });

  it('finds the code wherever the framework puts it', () => {
    assert.equal(codeIn(new Error('SEAT_TAKEN: This player already has a seat.')), 'SEAT_TAKEN');
    assert.equal(codeIn({ code: 525, message: 'AUTH_EXPIRED: The token has expired' }), 'AUTH_EXPIRED');
    assert.equal(codeIn({ reason: { code: 'RATE_LIMITED' } }), 'RATE_LIMITED');
    assert.equal(codeIn({ code: 'MATCH_FULL' }), 'MATCH_FULL');
    assert.equal(codeIn(new TypeError('Failed to fetch')), undefined);
    assert.equal(codeIn({ message: 'NOT_A_CODE, HTTP, __proto__' }), undefined);
    assert.equal(codeIn(undefined), undefined);
  });

  it('tells every close code of ours apart from an unreachable server', () => {
    const unreachable = sentenceOf(new TypeError('Failed to fetch'));
    for (const code of [...Object.values(CLOSE), 4001, 4002, 4003]) assert.notEqual(sentenceOf({ code }), unreachable);
  });

  it('never shows a text it does not know', () => {
    assert.ok(!sentenceOf(new Error('<b>at Object.onJoin (/srv/app.ts:1:1)</b>')).includes('<b>'));
    assert.ok(!sentenceFor('constructor').includes('constructor'));
  });
});

describe('the net meter', () => {
  it('measures bytes and frames of the last second', () => {
    const meter = new NetMeter();
    for (let frame = 0; frame < 60; frame++) meter.frame(frame * 33, 100);
    const reading = meter.refresh(60 * 33, 7, 3);
    assert.equal(reading.patchesPerSecond, 30);
    assert.equal(reading.patchBytesPerSecond, 3000);
    assert.deepEqual([reading.tick, reading.pendingInputs], [7, 3]);
    assert.equal(meter.refresh(60 * 33 + 5000, 7, 3).patchBytesPerSecond, 0);
  });

  it('reads an even stream as no jitter and an uneven one as its deviation', () => {
    const even = new NetMeter();
    const uneven = new NetMeter();
    for (let frame = 1; frame < 600; frame++) {
      even.frame(frame * 40, 50);
      uneven.frame(frame * 40 + (frame % 2) * 20, 50);
    }
    assert.ok(even.reading.jitterMs < 0.01);
    assert.ok(Math.abs(uneven.reading.jitterMs - 20) < 2, `${uneven.reading.jitterMs}`);
  });

  it('stays within its memory however many frames a second come', () => {
    const meter = new NetMeter();
    for (let frame = 0; frame < 10_000; frame++) meter.frame(1000 + frame / 100, 10);
    assert.ok(meter.refresh(1100, 0, 0).patchesPerSecond <= 128);
  });
});

describe('events of the drawn past', () => {
  it('are shown in order, and only once the drawn time has reached them', () => {
    const shown: string[] = [];
    const late = new LateEvents();
    late.add(100, () => shown.push('a'));
    late.add(150, () => shown.push('b'));
    late.run(99);
    assert.deepEqual(shown, []);
    late.run(149);
    assert.deepEqual(shown, ['a']);
    late.run(500);
    late.run(600);
    assert.deepEqual(shown, ['a', 'b']);
  });

  it('are bounded: the oldest gives way', () => {
    const shown: number[] = [];
    const late = new LateEvents();
    for (let i = 0; i < 1000; i++) late.add(i, () => shown.push(i));
    late.run(2000);
    assert.equal(shown.length, 256);
    assert.equal(shown[0], 744);
  });
});

describe('the own rifle as the client expects it', () => {
  it('keeps the pace of the rules while the trigger is held', () => {
    const rifle = new OwnRifle();
    const shots: number[] = [];
    for (let seq = 1; seq <= 21; seq++) {
      rifle.acknowledge(seq - 3);
      if (rifle.pull(seq, BUTTONS.FIRE, 60)) shots.push(seq);
    }
    assert.deepEqual(shots, [
      1,
      1 + RIFLE_COOLDOWN_TICKS,
      1 + 2 * RIFLE_COOLDOWN_TICKS,
      1 + 3 * RIFLE_COOLDOWN_TICKS,
      21,
    ]);
  });

  it('does not fire more rounds than the server last told of, less those on their way', () => {
    const rifle = new OwnRifle();
    let shots = 0;
    for (let seq = 1; seq <= 60; seq++) if (rifle.pull(seq, BUTTONS.FIRE, 2)) shots++;
    assert.equal(shots, 2);
    rifle.acknowledge(60);
    assert.equal(rifle.pull(61, BUTTONS.FIRE, 0), false);
    assert.equal(rifle.pull(62, BUTTONS.FIRE, 1), true);
    assert.equal(rifle.pull(63, 0, 60), false);
  });

  it('ends its line at the first wall or fighter', () => {
    const map = arenaMap('colosseum', 0, 80, 60);
    const fighter = {
      name: '',
      isBot: false,
      isOwn: false,
      isAlive: true,
      isProtected: false,
      isDashing: false,
      isConnected: true,
      hp: 100,
      aim: 0,
    };
    const [x, y] = [39.5, 29.5];
    const others = [
      { ...fighter, seat: 1, x: x + 4, y: y + 0.3 },
      { ...fighter, seat: 2, x: x + 2, y: y + 2 },
      { ...fighter, seat: 3, x: x + 1, y, isAlive: false },
      { ...fighter, seat: 4, x: x - 1, y },
    ];
    const hit = traceShot(map, 0, x, y, 0, others);
    assert.equal(hit.victim, 1);
    assert.ok(Math.abs(hit.toX - (x + 4)) < 1e-9);
    const miss = traceShot(map, 0, x, y, 0, []);
    assert.equal(miss.victim, -1);
    assert.ok(miss.toX - x <= RIFLE_RANGE_UNITS / 64 && miss.toX > x + 4);
  });
});

describe('the tick of the server', () => {
  it('counts on from the last tick that was known', () => {
    const tick = new ServerTick(30);
    assert.equal(tick.at(1000), 30);
    tick.anchor(300, 20_000);
    assert.equal(tick.at(20_000), 300);
    assert.equal(tick.at(21_040), 331);
    assert.equal(tick.at(-1e9), 0);
  });
});
