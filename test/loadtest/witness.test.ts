import assert from 'node:assert/strict';
import { wander } from '../../loadtest/driver/input-track.ts';
import { type JournaledMatch, type Judgement, MatchTruth, Witness } from '../../loadtest/driver/witness.ts';
import { ByteWriter } from '../../src/kernel/bytes.ts';
import { writeEntry } from '../../src/kernel/entry-codec.ts';
import type { Entry } from '../../src/kernel/simulation.ts';
import { type ArenaIntent, arena } from '../../src/sim/arena.ts';

const TICKS = 400;
const OWN = 0;
const OTHER = 1;

/** Two who wander and shoot, from tick 0. */
function play(ticks = TICKS): JournaledMatch {
  const setup = { seed: 5, capacity: 4, warmupTicks: 1, liveTicks: 10_000, endedTicks: 10 };
  const world = arena.create(setup);
  const tracks = [wander(1, ticks), wander(2, ticks)];
  const entries = Array.from({ length: ticks }, (_, tick) => {
    const entry: Entry<ArenaIntent> = {
      tick,
      events:
        tick > 0
          ? []
          : [OWN, OTHER].map((seat) => ({
              kind: 'join',
              seat,
              name: `p${seat}`,
              playerId: `id-${seat}`,
              isBot: false,
            })),
      intents: tracks.map((track, seat) => ({ seat, intent: { ...track[tick]!, rewind: 0 } })),
    };
    arena.step(world, entry);
    const to = new ByteWriter();
    writeEntry(to, entry, arena);
    return { tick, bytes: to.bytes(), hash: { ...arena.hash(world, { hi: 0, lo: 0 }) } };
  });
  return { header: { matchId: 'm', setup }, entries };
}

describe('what a player saw, held against the journal', () => {
  const match = play();
  const truth = new MatchTruth(match);
  const views = truth.viewsOf(OWN);

  /** A frame by number is the view of that tick; `whole` makes the next one a full state; text is something else. */
  function judged(...frames: readonly (number | 'whole' | 'wrong')[]): Judgement {
    const witness = new Witness();
    let isWhole = true;
    for (const frame of frames) {
      if (frame === 'whole') isWhole = true;
      else {
        witness.saw(frame === 'wrong' ? 12_345 : views[frame]!, isWhole);
        isWhole = false;
      }
    }
    return witness.judge(truth, OWN);
  }
  const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);
  const CLEAN = { mismatches: 0, trailing: 0, ticksTakenBack: 0, mostTakenBack: 0, othersMismatched: 0, oddities: [] };

  it('steps a journal to the recorded hashes, and names the first tick that differs', () => {
    assert.equal(truth.divergedAtTick, undefined);
    assert.equal(truth.ticks, TICKS);
    assert.deepEqual(truth.names.slice(0, 2), ['p0', 'p1']);
    const entries = match.entries.map((entry) => (entry.tick === 70 ? { ...entry, hash: { hi: 1, lo: 2 } } : entry));
    assert.equal(new MatchTruth({ ...match, entries }).divergedAtTick, 70);
  });

  it('finds a view that differs at almost every tick while somebody moves', () => {
    assert.ok(new Set(views).size > TICKS * 0.8);
  });

  it('finds nothing where every tick was seen, or some were left out', () => {
    assert.deepEqual(judged(...range(3, TICKS)), { frames: TICKS - 3, ...CLEAN });
    assert.deepEqual(judged(...range(3, 50), ...range(90, 120)), { frames: 77, ...CLEAN });
  });

  it('lets a full state, and a room that stands still, say again what was the last tick', () => {
    assert.deepEqual(judged(...range(10, 50), 'whole', ...range(49, 70)), { frames: 61, ...CLEAN });
    assert.deepEqual(judged(...range(10, 50), 49, 49, ...range(50, 70)), { frames: 62, ...CLEAN });
  });

  it('counts ticks that were shown again after later ones', () => {
    const { ticksTakenBack, mostTakenBack, mismatches } = judged(...range(10, 50), 'whole', ...range(46, 70));
    assert.deepEqual(
      { ticksTakenBack, mostTakenBack, mismatches },
      { ticksTakenBack: 3, mostTakenBack: 3, mismatches: 0 },
    );
    assert.equal(judged(...range(10, 50), ...range(48, 70)).ticksTakenBack, 1);
  });

  it('counts frames before a resume that are in no journal as taken back, and all others as mismatches', () => {
    const lost = judged(...range(10, 50), 'wrong', 'wrong', 'whole', ...range(50, 70));
    assert.deepEqual([lost.ticksTakenBack, lost.mostTakenBack, lost.mismatches], [2, 2, 0]);
    const wrong = judged(...range(10, 50), 'wrong', ...range(51, 70));
    assert.deepEqual([wrong.ticksTakenBack, wrong.mismatches, wrong.trailing], [0, 1, 0]);
    assert.equal(judged('whole', 'wrong', ...range(51, 70)).mismatches, 1);
  });

  it('counts what was seen last and is not there yet', () => {
    const { mismatches, trailing } = judged(...range(10, 50), 'wrong', 'wrong');
    assert.deepEqual({ mismatches, trailing }, { mismatches: 2, trailing: 2 });
  });

  it('wants others where they were a moment ago, and nowhere else', () => {
    const world = arena.create(match.header.setup);
    assert.equal(truth.wasThere(OTHER, world.x(OTHER), world.y(OTHER), 0, TICKS), false);
    const see = (x: number, y: number): number => {
      const witness = new Witness();
      for (const tick of range(100, 131)) {
        witness.saw(views[tick]!, tick === 100);
        if (witness.wantsOthers && tick === 120) witness.sawOther(OTHER, x, y);
      }
      return witness.judge(truth, OWN).othersMismatched;
    };
    const at = (tick: number): [number, number] => truth.placeOf(OTHER, tick);
    assert.equal(see(...at(120)), 0);
    assert.equal(see(...at(100)), 0, 'interest may be late');
    assert.equal(see(...at(10)), 1, 'not that late');
    assert.equal(see(...at(200)), 1, 'nobody sees the future');
    assert.equal(see(1, 2), 1);
  });
});
