/** How long it takes to play a recorded match again and prove it: what `npm run replay -- verify` does. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { atMost, defineBench, measureInChild, median } from './bench.ts';

const RECORDING = new URL('./replay/recording.ts', import.meta.url);
const RESIMULATION = new URL('./replay/resimulation.ts', import.meta.url);
const GOAL_MS = 1000;
const TIMEOUT_MS = 600_000;

export default defineBench({
  name: 'replay',
  summary: 'a recorded match of bots read, re-simulated and compared hash by hash',
  options: {
    players: { type: 'number', default: 8, min: 2, max: 128, help: 'bots in the match' },
    minutes: { type: 'number', default: 10, quick: 0.5, min: 0.1, max: 60, help: 'length of the match' },
    rounds: { type: 'number', default: 5, quick: 1, min: 1, max: 99, help: 'fresh processes, the median is shown' },
    seed: { type: 'number', default: 20261121, min: 0, max: 2 ** 32 - 1, help: 'seed of the match' },
  },
  async run({ options, progress }) {
    const { players, minutes, rounds, seed } = options;
    const ticks = Math.round(minutes * 60 * 30);
    const folder = await mkdtemp(join(tmpdir(), 'hypogeum-bench-replay-'));
    try {
      const file = join(folder, 'bench.hypr');
      progress(`playing ${ticks} ticks of ${players} bots`);
      const recorded = await measureInChild<{ bytes: number; frags: number }>(
        RECORDING,
        [file, players, ticks, seed].map(String),
        { timeoutMs: TIMEOUT_MS },
      );
      const runs: { readMs: number; simulateMs: number }[] = [];
      for (let round = 0; round < rounds; round++) {
        progress(`round ${round + 1} of ${rounds}`);
        const run = await measureInChild<{ readMs: number; simulateMs: number; isSame: boolean }>(
          RESIMULATION,
          [file],
          { timeoutMs: TIMEOUT_MS },
        );
        if (!run.isSame) throw new Error('the re-simulation is not what was recorded');
        runs.push(run);
      }
      const totalMs = median(runs.map(({ readMs, simulateMs }) => readMs + simulateMs));
      return {
        results: [
          {
            players,
            minutes,
            ticks,
            frags: recorded.frags,
            fileKiB: Math.round(recorded.bytes / 1024),
            readMs: Math.round(median(runs.map(({ readMs }) => readMs))),
            simulateMs: Math.round(median(runs.map(({ simulateMs }) => simulateMs))),
            totalMs: Math.round(totalMs),
            ticksPerSecond: Math.round(ticks / (totalMs / 1000)),
          },
        ],
        goals: [atMost(`${players} players, ${minutes} minutes`, Math.round(totalMs), GOAL_MS, 'ms')],
      };
    } finally {
      await rm(folder, { recursive: true });
    }
  },
});
