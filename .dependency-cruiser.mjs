/**
 * Who may import whom: the table of the architecture, as rules that `npm run check` runs. A folder's rule lists what it
 * may use; everything else is a fault.
 */

const NODE = ['core'];
const ANY_PACKAGE = '^(node_modules/|[^/]*$)';

/** `from` may import paths that match one of `allowed` (and Node's own modules if `node`), and nothing else. */
const only = (name, from, allowed, { node = false, comment } = {}) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from },
  to: { pathNot: [from, ...allowed], ...(node ? { dependencyTypesNot: NODE } : {}) },
});

const npm = (...names) => names.map((name) => `^node_modules/${name}/`);

export default {
  forbidden: [
    only('kernel-imports-nothing', '^src/kernel/', [], { comment: 'Shared with the browser and the base of all.' }),
    only('sim-is-pure', '^src/sim/', ['^src/kernel/'], {
      comment: 'The rules run on server, browser and in replays: no Node, Colyseus, Schema or clocks.',
    }),
    only('match-knows-no-game', '^src/match/', ['^src/kernel/', ...npm('@colyseus/core', '@colyseus/schema')], {
      node: true,
      comment: 'Machinery under any game: never sim, rooms, adapters, ops.',
    }),
    only('events-know-no-area', '^src/events/', ['^src/kernel/', ...npm('zod')], {
      node: true,
      comment: 'Definitions of events, and the ports of log, views and bus.',
    }),
    only('api-knows-no-area', '^src/api/', ['^src/kernel/', ...npm('zod', 'express')], {
      node: true,
      comment: 'What a route is, how it is served and described.',
    }),
    ...['accounts', 'economy', 'results', 'ratings', 'leaderboards', 'friends'].map((area) =>
      only(
        `${area}-stands-alone`,
        `^src/${area}/`,
        ['^src/(kernel|events|api)/', ...npm('zod', ...(area === 'ratings' ? ['openskill'] : []))],
        { node: true, comment: 'Areas meet in server.ts or through events.' },
      ),
    ),
    only('matchmaking-stands-alone', '^src/matchmaking/', ['^src/(kernel|events|api)/', ...npm('zod', 'openskill')], {
      node: true,
      comment: 'The matcher is pure; who may play and where rooms are comes through ports.',
    }),
    only('cluster-knows-no-game', '^src/cluster/', ['^src/(kernel|match)/', ...npm('@colyseus/core', 'zod')], {
      node: true,
      comment: 'Machinery over any game: never sim, rooms, adapters, ops.',
    }),
    only('sessions-stand-alone', '^src/sessions/', ['^src/kernel/', ...npm('jose', '@colyseus/core')], { node: true }),
    only('ops-stands-alone', '^src/ops/', ['^src/kernel/', ...npm('pino', 'prom-client')], {
      node: true,
      comment: 'Told what to observe by server.ts.',
    }),
    {
      name: 'adapters-know-no-rooms',
      severity: 'error',
      from: { path: '^src/adapters/' },
      to: { path: ['^rooms/', '^src/(server|main|http-server|config)\\.ts$'] },
    },
    {
      name: 'adapters-are-picked-by-the-root',
      severity: 'error',
      comment: 'Everything else depends on ports.',
      from: { pathNot: ['^src/adapters/', '^src/(server|persistence|open-matchmaking|clustering|gating)\\.ts$', '^src/cli/', '^test/', '^loadtest/bench/'] },
      to: { path: '^src/adapters/' },
    },
    only('config-is-read-before-anything-loads', '^src/config\\.ts$', ['^src/kernel/', ...npm('zod')], { node: true }),
    {
      name: 'main-loads-nothing-before-the-config',
      severity: 'error',
      comment: 'Packages of the framework put /etc/environment over process.env when they load.',
      from: { path: '^src/main\\.ts$' },
      to: { dynamic: false, pathNot: ['^src/(config\\.ts$|kernel/)'], dependencyTypesNot: [...NODE, 'type-only'] },
    },
    only('schema-is-data', '^schema/', ['^src/sim/tuning\\.ts$', ...npm('@colyseus/schema')], {
      comment: 'Fields only; browser and Unity decode exactly these.',
    }),
    {
      name: 'rooms-use-ports',
      severity: 'error',
      from: { path: '^rooms/' },
      to: {
        path: [
          '^src/adapters/',
          '^src/(server|persistence|clustering|main|http-server|config|client-build|match-metrics)\\.ts$',
          '^src/ops/',
          ...npm('pg', 'ioredis', '@nats-io'),
        ],
      },
    },
    only('browser-is-a-client', '^clients/browser/', ['^schema/', '^src/(sim|kernel)/', ...npm('@colyseus/sdk')], {
      comment: 'What it imports is shipped to players.',
    }),
    {
      name: 'load-is-a-client',
      severity: 'error',
      comment: 'Benches of a part, and the peers they are measured against, may use that part.',
      from: { path: '^loadtest/', pathNot: '^loadtest/(bench|peers)/' },
      to: { path: ['^src/(?!sim/|kernel/)', '^rooms/'] },
    },
    {
      name: 'production-needs-no-development-package',
      severity: 'error',
      from: { path: '^(src|rooms|schema)/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'packages-are-declared',
      severity: 'error',
      from: {},
      to: { path: ANY_PACKAGE, dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } } },
    { name: 'everything-resolves', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['/dist/', '^clients/browser/vite\\.config\\.ts$'] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    detectProcessBuiltinModuleCalls: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json', '.css'],
    },
  },
};
