import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { RedisCluster } from '../../src/adapters/redis-cluster.ts';
import { childOf } from '../../src/cli/cluster/child.ts';
import { DEATHS_MAX, HEALTHY_MS, RESTART_MS, verdictOn } from '../../src/cli/cluster/restart-policy.ts';
import { type Post, Supervisor } from '../../src/cli/cluster/supervisor.ts';
import { runClusterCli } from '../../src/cli/cluster.ts';
import { RedisServer } from '../fixtures/redis-server.ts';
import { until } from '../fixtures/until.ts';

const STUB = 'test/fixtures/stub-process.ts';

describe('npm run cluster', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hypogeum-cluster-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function run(argv: readonly string[], env: Record<string, string> = {}) {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const code = await runClusterCli(argv, { env: { HYPOGEUM_DATA: folder, ...env }, stdout, stderr });
    return { code, out: String(stdout.read() ?? ''), err: String(stderr.read() ?? '') };
  }

  describe('on its command line', () => {
    for (const [argv, fault] of [
      [[], /A command is needed/],
      [['frobnicate'], /No command frobnicate/],
      [['up', '--realtime', '0'], /--realtime takes a whole number, 1 to 16/],
      [['up', '--realtime', '1e1'], /--realtime takes a whole number/],
      [['up', '--workers', '9'], /--workers takes a whole number, 0 to 8/],
      [['up', '--gates', '0'], /--gates takes a whole number, 1 to 4/],
      [['up', '--port', '65536'], /--port takes a whole number, 0 to 65535/],
      [['up', '--build', 'a b'], /--build takes 1 to 64 letters/],
      [['up', 'now'], /up takes no now/],
      [['up', '--frobnicate'], /--frobnicate/],
      [['status', '--realtime', '2'], /status takes no --realtime/],
      [['drain'], /drain takes a name/],
      [['drain', 'a', 'b'], /drain takes no b/],
      [['canary'], /canary is followed by show, set or clear/],
      [['canary', 'set'], /canary set takes --build ID/],
      [['canary', 'set', '--build', '1'], /canary set takes --percent N or --cohort NAME/],
      [['canary', 'set', '--build', '1', '--percent', '5', '--cohort', 'a'], /--percent N or --cohort NAME/],
      [['canary', 'set', '--build', '1', '--percent', '101'], /--percent takes a whole number, 0 to 100/],
      [['canary', 'set', '--build', '1', '--cohort', 'A'], /--cohort takes 1 to 32 lower-case letters/],
      [['promote', '--build', '1'], /promote takes no --build/],
      [['cohort', 'add', 'testers'], /cohort add takes more words/],
      [['cohort', 'add', 'testers', 'ada'], /ada is no id of a player/],
      [['cohort', 'list', 'T'], /A cohort has a name/],
    ] as const) {
      it(`refuses ${argv.join(' ') || 'nothing'} with the usage`, async () => {
        const { code, err } = await run(argv);
        assert.equal(code, 2);
        assert.match(err, fault);
        assert.match(err, /Usage: npm run cluster/);
      });
    }

    it('tells that no cluster runs there, how to start one, and how to name another', async () => {
      for (const words of [['status'], ['roll'], ['promote'], ['drain', 'x'], ['canary', 'show']]) {
        const { code, err } = await run(words);
        assert.equal(code, 3);
        assert.match(err, /^No cluster runs on the data folder .*: npm run cluster -- up starts one; --data DIR names/);
        assert.equal(/REDIS_URL/.test(err), words[0] !== 'roll');
      }
    });

    it('says every fault of the configuration before anything is started', async () => {
      const { code, err } = await run(['up'], { HYPOGEUM_BOTS: '-1', HYPOGEUM_MONITOR_PASSWORD: 'short' });
      assert.equal(code, 3);
      assert.match(err, /CONFIG_INVALID: .*HYPOGEUM_MONITOR_PASSWORD.*HYPOGEUM_BOTS/);
      await assert.rejects(readFile(join(folder, 'cluster-lock')), 'nothing was made');
    });

    it('names what is missing where there is no redis-server', async () => {
      const was = process.env['PATH'];
      process.env['PATH'] = folder;
      try {
        const { code, err } = await run(['up', '--no-build']);
        assert.equal(code, 3);
        assert.match(
          err,
          /^STORE_UNAVAILABLE: .*redis-server cannot be started \(ENOENT\): install Redis 7, or give --redis URL/,
        );
      } finally {
        process.env['PATH'] = was;
      }
    });
  });

  describe('on a cluster that somebody else has started', () => {
    let redis: RedisServer;
    let store: RedisCluster;
    before(async () => {
      redis = await RedisServer.start();
    });
    after(() => redis.stop());
    beforeEach(async () => {
      await redis.command((client) => client.flushall());
      store = await RedisCluster.open({ url: redis.url, processId: 'one' });
      const load = { tickP99Ms: 2.25, players: 7, rooms: 2, matchSlots: 50, matchSlotsAvailable: 48 };
      const place = { host: '127.0.0.1', port: 1, region: 'local', isDraining: false, plays: {}, canAdopt: true };
      const card = { processId: 'one', ...place, roles: ['realtime' as const], buildId: '1.3.0', load };
      await store.beat({ beat: 1, card });
      await store.beat({ beat: 1, card: { ...card, processId: 'ghost', roles: ['worker'] } });
    });
    afterEach(() => store.close());
    const there = (...words: string[]) => run([...words, '--redis', redis.url]);

    it('shows its processes, what each has room for, and who is dead', async () => {
      const { code, out } = await there('status');
      assert.equal(code, 0);
      assert.match(out, /^ +one +ready +realtime +1\.3\.0 +stable +2 +7 +48 +2\.3 ms$/m);
      assert.match(out, /^ +ghost +dead +worker +1\.3\.0/m);
      assert.match(out, /^Canary: no build is tried: new matches go to any build\.$/m);
      const { processes } = JSON.parse((await there('status', '--json')).out) as { processes: { processId: string }[] };
      assert.deepEqual(
        processes.map(({ processId }) => processId),
        ['one', 'ghost'],
      );
    });

    it('drains a process, which hears who wanted it', async () => {
      const heard: unknown[] = [];
      store.onRequest(async (request) => {
        heard.push(request);
        return { outcome: 'draining' };
      });
      assert.equal((await there('drain', 'one')).code, 0);
      assert.deepEqual(heard, [{ kind: 'drain', by: 'operator' }]);
    });

    it('tells a process that does not exist from one that does not answer', async () => {
      const unknown = await there('drain', 'two');
      assert.equal(unknown.code, 1);
      assert.match(unknown.err, /^PROCESS_UNKNOWN: .*two/);
      const dead = await there('drain', 'ghost');
      assert.equal(dead.code, 3);
      assert.match(dead.err, /^STORE_UNAVAILABLE: .*nobody listens as process ghost/);
    });

    it('tries a build, promotes it and rolls it back, for all processes at once', async () => {
      const tried = await there('canary', 'set', '--build', '1.4.0', '--percent', '10');
      assert.equal(tried.code, 0);
      assert.equal(tried.out, 'build 1.4.0 gets 10 % of new matches (by operator)\n');
      assert.match(tried.err, /^No process runs build 1\.4\.0 yet; there are 1\.3\.0\.$/m);
      assert.match(
        (await there('status')).out,
        /^Canary: build 1\.4\.0 gets 10 % of new matches\. No process runs that build\.$/m,
      );
      assert.match((await there('promote')).out, /^build 1\.4\.0 is promoted/);
      const again = await there('promote');
      assert.equal(again.code, 1);
      assert.match(again.err, /^CANARY_NONE/);
      assert.match((await there('rollback')).out, /^build 1\.4\.0 is rolled back/);
      assert.deepEqual(JSON.parse((await there('canary', 'show', '--json')).out), {
        state: { phase: 'rolled-back', build: '1.4.0' },
        revision: 3,
        by: 'operator',
      });
      assert.match((await there('canary', 'clear')).out, /^no build is tried/);
      const known = await there('canary', 'set', '--build', '1.3.0', '--cohort', 'testers');
      assert.deepEqual([known.code, known.err], [0, '']);
      assert.match(
        (await there('status')).out,
        /^Canary: build 1\.3\.0 gets the new matches of the cohort testers\.$/m,
      );
    });

    it('keeps the players of a cohort', async () => {
      const [ada, bob] = ['a-000000000000000000ada0', 'a-000000000000000000bob0'];
      assert.equal((await there('cohort', 'add', 'testers', ada, bob)).out, '2 players added to testers.\n');
      assert.equal((await there('cohort', 'remove', 'testers', bob)).out, '1 player taken out of testers.\n');
      assert.equal((await there('cohort', 'list', 'testers')).out, `${ada}\n`);
    });

    it('says that Redis cannot be reached', async () => {
      const { code, err } = await run(['status', '--redis', 'redis://127.0.0.1:1']);
      assert.equal(code, 3);
      assert.match(err, /^STORE_UNAVAILABLE/);
    });
  });

  describe('decides about a process that ended:', () => {
    const died = { code: 1, readyForMs: undefined, wasEverReady: false, deaths: 0 };

    it('exit code 0 was a drain; a faulty configuration ends everything; a port in use only at the first start', () => {
      assert.deepEqual(verdictOn({ ...died, code: 0 }), { is: 'gone' });
      for (const code of [64, 73, 78]) {
        assert.deepEqual(verdictOn({ ...died, code, wasEverReady: true }), { is: 'faulty', exitCode: code });
      }
      assert.deepEqual(verdictOn({ ...died, code: 69 }), { is: 'faulty', exitCode: 69 });
      assert.equal(verdictOn({ ...died, code: 69, wasEverReady: true }).is, 'restart');
      assert.equal(verdictOn({ ...died, code: undefined }).is, 'restart');
    });

    it('waits double as long after each death in a row, bounded, and gives up in the end; health forgives all', () => {
      const waits: number[] = [];
      let deaths = 0;
      for (;;) {
        const verdict = verdictOn({ ...died, deaths });
        if (verdict.is !== 'restart') {
          assert.deepEqual(verdict, { is: 'given-up' });
          break;
        }
        waits.push(verdict.afterMs);
        deaths = verdict.deaths;
      }
      assert.equal(waits.length, DEATHS_MAX);
      assert.deepEqual(waits.slice(0, 3), [RESTART_MS.first, RESTART_MS.first * 2, RESTART_MS.first * 4]);
      assert.equal(waits.at(-1), RESTART_MS.longest);
      const healthy = { ...died, wasEverReady: true, readyForMs: HEALTHY_MS, deaths: DEATHS_MAX };
      assert.deepEqual(verdictOn(healthy), { is: 'restart', afterMs: RESTART_MS.first, deaths: 1 });
      assert.equal(verdictOn({ ...healthy, readyForMs: HEALTHY_MS - 1 }).is, 'given-up');
    });

    it('never waits longer than the longest, and never restarts for ever', () => {
      fc.assert(
        fc.property(fc.nat(50), fc.option(fc.nat(HEALTHY_MS * 2), { nil: undefined }), (before, readyForMs) => {
          const verdict = verdictOn({ ...died, deaths: before, readyForMs });
          if (verdict.is !== 'restart') return verdict.is === 'given-up' && before >= DEATHS_MAX;
          return verdict.afterMs <= RESTART_MS.longest && verdict.deaths <= DEATHS_MAX;
        }),
      );
    });
  });

  describe('keeps processes running:', () => {
    let said: string[];
    let ends: number[];
    let supervisor: Supervisor;
    /** Waits between restarts, that do not take their time. */
    let waits: number[];

    function supervise(options: { readyMs?: number; killMs?: number } = {}): Supervisor {
      [said, ends, waits] = [[], [], []];
      supervisor = new Supervisor({
        say: (name, line) => void said.push(name === undefined ? line : `${name} | ${line}`),
        onEnd: (code) => void ends.push(code),
        readyMs: 20_000,
        killMs: 20_000,
        wait: async (ms) => void waits.push(ms),
        ...options,
      });
      return supervisor;
    }

    function post(name: string, plan: string): Post {
      return {
        name,
        start: childOf(STUB, []),
        env: { PATH: process.env['PATH'], PLAN: plan, COUNT: join(folder, name) },
      };
    }
    const state = (name: string) => supervisor.posts.find((one) => one.name === name);
    const startsOf = async (name: string) => (await readFile(join(folder, name))).length;

    afterEach(() => supervisor?.kill());

    it('they are ready, say who they are, speak with their name before each line, and drain at the end', async () => {
      supervise();
      assert.equal(await supervisor.start([post('a', 'run'), post('b', 'run')]), true);
      for (const { state, processId, pid } of supervisor.posts) {
        assert.equal(state, 'ready');
        assert.equal(processId, `stub-${pid}`);
      }
      assert.ok(said.includes('a | start 1: run') && said.includes('b | start 1: run'), said.join('\n'));
      await supervisor.stop();
      await until(() => ends.length > 0, 'the end');
      assert.deepEqual(ends, [0]);
      assert.deepEqual(waits, []);
    });

    it('one that is killed comes back, the others notice nothing', async () => {
      supervise();
      await supervisor.start([post('a', 'run'), post('b', 'run')]);
      const [first, other] = [state('a')!.pid, state('b')!.pid];
      process.kill(first, 'SIGKILL');
      await until(() => state('a')!.state === 'ready' && state('a')!.pid !== first, 'another process');
      assert.equal(state('a')!.restarts, 1);
      assert.deepEqual(waits, [RESTART_MS.first]);
      assert.equal(state('b')!.pid, other);
      await supervisor.stop();
      await until(() => ends.length > 0, 'the end');
      assert.deepEqual(ends, [0]);
    });

    it('one that dies before it is ready is tried again, later each time', async () => {
      supervise();
      assert.equal(await supervisor.start([post('a', 'exit 1,exit 1,exit 70,run')]), true);
      assert.deepEqual(waits, [200, 400, 800]);
      await supervisor.stop();
    });

    it('one that dies again and again is left alone; when nobody is left the whole ends with 1', async () => {
      supervise();
      assert.equal(await supervisor.start([post('a', 'exit 1')]), false);
      assert.equal(state('a')!.state, 'given-up');
      assert.equal(await startsOf('a'), DEATHS_MAX + 1);
      assert.deepEqual(ends, [1]);
    });

    it('a faulty configuration ends all of them, with its exit code', async () => {
      supervise();
      assert.equal(await supervisor.start([post('a', 'run'), post('b', 'exit 78')]), false);
      await until(() => ends.length > 0, 'the end');
      assert.deepEqual(ends, [78]);
      assert.equal(await startsOf('b'), 1);
    });

    it('one that never becomes ready is killed and counts as one that died', async () => {
      supervise({ readyMs: 1_000 });
      const started = supervisor.start([post('a', 'mute,run')]);
      assert.equal(await started, true);
      assert.ok(
        said.some((line) => /a is not ready after 1 s; it is killed/.test(line)),
        said.join('\n'),
      );
      assert.equal(await startsOf('a'), 2);
      await supervisor.stop();
    });

    it('one that ends with 0 was drained by somebody: it is not started again', async () => {
      supervise();
      await supervisor.start([post('a', 'run'), post('b', 'run')]);
      process.kill(state('a')!.pid, 'SIGTERM');
      await until(() => state('a')!.state === 'gone', 'the drain');
      assert.equal(state('b')!.state, 'ready');
      assert.equal(await startsOf('a'), 1);
      assert.deepEqual(ends, []);
      await supervisor.stop();
      assert.deepEqual(ends, [0]);
    });

    it('one that does not end is killed after its time', async () => {
      supervise({ killMs: 100 });
      await supervisor.start([post('a', 'deaf')]);
      await supervisor.stop();
      assert.deepEqual(ends, [0]);
      assert.ok(
        said.some((line) => /does not end; it is killed/.test(line)),
        said.join('\n'),
      );
    });

    it('a signal during a wait for a restart ends it there', async () => {
      supervise();
      const waiting = Promise.withResolvers<void>();
      supervisor = new Supervisor({
        say: () => {},
        onEnd: (code) => void ends.push(code),
        readyMs: 20_000,
        killMs: 20_000,
        wait: (_, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
            waiting.resolve();
          }),
      });
      const started = supervisor.start([post('a', 'exit 1')]);
      await waiting.promise;
      await supervisor.stop();
      assert.equal(await started, false);
      assert.deepEqual(ends, [0]);
      assert.equal(await startsOf('a'), 1);
    });

    it('replaces them one after another: the new one is ready before the old one drains', async () => {
      supervise();
      await supervisor.start([post('a', 'run'), post('b', 'run')]);
      const before = supervisor.posts.map(({ pid }) => pid);
      const progress: string[] = [];
      const change = (old: Post): Post => ({ ...old, env: { ...old.env, PLAN: 'run' } });
      assert.equal(await supervisor.roll((line) => void progress.push(line), { change }), true);
      assert.deepEqual(
        progress.map((line) => line.replace(/[\d.]+ s$/, 'N s')),
        ['a', 'b'].flatMap((name, at) =>
          ['the new one starts', 'the new one is ready, the old one drains', 'the old one is gone after N s'].map(
            (line) => `${at + 1} of 2, ${name}: ${line}`,
          ),
        ),
      );
      const after = supervisor.posts;
      assert.ok(after.every(({ state, pid }) => state === 'ready' && !before.includes(pid)));
      for (const pid of before) assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });
      await supervisor.stop();
      assert.deepEqual(ends, [0]);
    });

    it('replaces only those named; a replaced one that dies comes back as any other', async () => {
      supervise();
      await supervisor.start([post('a', 'run'), post('b', 'run')]);
      const [, b] = supervisor.posts;
      assert.equal(await supervisor.roll(() => {}, { names: ['a'] }), true);
      assert.equal(state('b')!.pid, b!.pid);
      const replaced = state('a')!.pid;
      process.kill(replaced, 'SIGKILL');
      await until(() => state('a')!.state === 'ready' && state('a')!.pid !== replaced, 'another process');
      await supervisor.stop();
      assert.deepEqual(ends, [0]);
    });

    it('stops replacing where a new one does not start; the old one stays', async () => {
      supervise();
      await supervisor.start([post('a', 'run,exit 1'), post('b', 'run')]);
      const before = supervisor.posts.map(({ pid }) => pid);
      const progress: string[] = [];
      assert.equal(await supervisor.roll((line) => void progress.push(line)), false);
      assert.match(progress.at(-1)!, /ended with exit code 1 before it was ready; the old one stays/);
      assert.deepEqual(
        supervisor.posts.map(({ pid }) => pid),
        before,
      );
      await supervisor.stop();
      assert.deepEqual(ends, [0]);
    });

    it('a signal while they are replaced drains the old and the new', async () => {
      supervise();
      await supervisor.start([post('a', 'run'), post('b', 'run')]);
      const ended = supervisor.roll((line) => {
        if (/1 of 2.*drains/.test(line)) void supervisor.stop();
      });
      assert.equal(await ended, false);
      await until(() => ends.length > 0, 'the end');
      assert.deepEqual(ends, [0]);
      assert.equal(await startsOf('a'), 2);
      assert.equal(await startsOf('b'), 1);
    });
  });
});
