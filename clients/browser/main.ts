/** The page: the door, the hall, the match, the replay, and the one loop that draws whichever is shown. */
import { arenaMap } from '../../src/sim/map.ts';
import { Painter } from './draw/painter.ts';
import { ARENA_PROPORTIONS } from './draw/proportions.ts';
import type { Scene } from './draw/scene.ts';
import { HALL_LINKS, Hall } from './hall/hall.ts';
import { Door } from './hud/door.ts';
import { replayLines } from './hud/replay-lines.ts';
import { Api } from './net/api.ts';
import { Finder, type Seat } from './net/finder.ts';
import { type ArenaRoom, Joining } from './net/joining.ts';
import { sentenceOf } from './net/sentences.ts';
import { Session } from './net/session.ts';
import { MatchScreen } from './play/match-screen.ts';
import { installProbe, matchFacts, replayFacts } from './probe.ts';
import { fetchReplay, ReplayScreen } from './replay/replay-screen.ts';

const REPLAYS_SHOWN = 4;
const EMPTY_SCENE: Scene = { fighters: [], rockets: [], pickups: [] };

const canvas = document.querySelector<HTMLCanvasElement>('#stage')!;
const parent = document.querySelector<HTMLElement>('#interface')!;
const painter = new Painter(canvas, ARENA_PROPORTIONS);
const session = new Session();
const joining = new Joining(location.origin, session);
const door = new Door(
  (name) => void play(name),
  HALL_LINKS.map(([name, text]) => [`#${name}`, text] as const),
);
const api = new Api(session);
const finder = new Finder(
  api,
  session,
  () => door.name,
  (seat) => void take(seat),
);
const hall = new Hall(session, api, finder, door.root, () => {
  if (match === undefined && replay === undefined) door.open();
});

finder.onChange(() => {
  // Wherever the player looks meanwhile: there is not much time to say that one is ready.
  if (finder.ticket?.readyCheck?.isAsked === true && match === undefined) location.hash = 'queue';
});

let match: MatchScreen | undefined;
let replay: ReplayScreen | undefined;
let isJoining = false;
let frames = 0;
let sentence = '';

parent.append(door.root, hall.root);
installProbe(() => ({
  screen: replay ? 'replay' : match ? 'match' : isJoining ? 'joining' : 'door',
  frames,
  sentence,
  ...(match ? { match: matchFacts(match) } : {}),
  ...(replay ? { replay: replayFacts(replay) } : {}),
}));

function fail(text: string): void {
  sentence = text;
  door.open();
  door.fail(text);
}

function enter(room: ArenaRoom, seat: number): void {
  painter.forget();
  door.close();
  hall.close();
  const screen = new MatchScreen(room, seat, painter, parent, (end) => {
    // Later, so that the frame under way ends with the screen it began with.
    queueMicrotask(() => {
      screen.dispose();
      if (match === screen) match = undefined;
      if (end.kind === 'next') {
        void play(door.name);
      } else {
        fail(end.sentence);
        void listReplays();
      }
    });
  });
  match = screen;
}

async function play(name: string): Promise<void> {
  if (isJoining || match !== undefined) return;
  isJoining = true;
  sentence = '';
  // Who plays does not wait for another match.
  if (finder.isSearching) finder.cancel().catch(() => undefined);
  door.root.hidden = false;
  door.wait('Joining …');
  try {
    enter(await joining.join(name), -1);
  } catch (error) {
    fail(sentenceOf(error));
  } finally {
    isJoining = false;
  }
}

/** Takes the seat that was found, from wherever on the page the player waited for it. */
async function take(seat: Seat): Promise<void> {
  if (isJoining || match !== undefined) return;
  isJoining = true;
  sentence = '';
  location.hash = '';
  door.wait('Your match is ready …');
  try {
    enter(await joining.take(seat), -1);
  } catch (error) {
    fail(sentenceOf(error));
  } finally {
    isJoining = false;
  }
}

async function watch(id: string): Promise<void> {
  door.wait('Loading the replay …');
  try {
    replay = new ReplayScreen(await fetchReplay(id), painter, canvas, parent);
    door.close();
  } catch (error) {
    fail(sentenceOf(error));
  }
}

async function start(): Promise<void> {
  painter.map = arenaMap('colosseum', 0, 80, 60);
  requestAnimationFrame(frame);
  const id = new URLSearchParams(location.search).get('replay');
  if (id !== null) return watch(id);
  door.open();
  isJoining = true;
  door.wait('One moment …');
  const kept = await joining.resume();
  isJoining = false;
  if (kept !== undefined) return enter(kept.room, kept.seat);
  door.open();
  hall.follow();
  return listReplays();
}

/** The list is a courtesy: without it the door is complete. */
async function listReplays(): Promise<void> {
  try {
    const response = await fetch(`/api/replays?limit=${REPLAYS_SHOWN}`);
    if (!response.ok) return;
    door.showReplays(replayLines(await response.json(), REPLAYS_SHOWN));
  } catch {
    // The server is away; joining will say so.
  }
}

let framedAtMs = 0;

function frame(nowMs: number): void {
  requestAnimationFrame(frame);
  frames++;
  const dtS = Math.min(0.1, (nowMs - framedAtMs) / 1000);
  framedAtMs = nowMs;
  if (match !== undefined) match.frame(nowMs);
  else if (replay !== undefined) replay.frame(nowMs);
  else drawBehindDoor(nowMs, dtS);
}

/** A slow flight over the empty arena. */
function drawBehindDoor(nowMs: number, dtS: number): void {
  const turn = painter.camera.isCalm ? 0.6 : nowMs / 24_000;
  painter.camera.follow(40 + Math.cos(turn) * 17, 30 + Math.sin(turn) * 12, 0, 0, dtS, true);
  painter.draw(EMPTY_SCENE, nowMs, dtS);
}

void start();
