/** Everything written over the arena during a match: clock, vitals, weapons, rank, notices. */
import { DASH_COOLDOWN_TICKS, HP_MAX } from '../../../src/sim/tuning.ts';
import { element, setPart, setText } from './element.ts';
import { KillFeed } from './kill-feed.ts';
import { NetGraph } from './net-graph.ts';
import { Scoreboard } from './scoreboard.ts';

/** Below this health the bar turns to the warning colour. */
const HP_LOW = 35;

const ENDINGS: Readonly<Record<Intl.LDMLPluralRule, string>> = {
  zero: 'th',
  one: 'st',
  two: 'nd',
  few: 'rd',
  many: 'th',
  other: 'th',
};
const ORDER = new Intl.PluralRules('en', { type: 'ordinal' });

/** 1st, 2nd, 3rd, 11th, ... */
export function ordinal(place: number): string {
  return `${place}${ENDINGS[ORDER.select(place)]}`;
}

export interface Vitals {
  readonly hp: number;
  readonly ammo: number;
  readonly rockets: number;
  /** Steps until the next dash. */
  readonly dash: number;
}

function bar(): { root: HTMLElement; fill: HTMLElement } {
  const fill = element('div', { class: 'bar-fill' });
  return { root: element('div', { class: 'bar' }, [fill]), fill };
}

export class Hud {
  readonly root = element('div', { class: 'hud' });
  readonly feed = new KillFeed();
  readonly board = new Scoreboard();
  readonly netGraph = new NetGraph();

  readonly #time = element('div', { class: 'clock-time number', text: '–' });
  readonly #phase = element('div', { class: 'clock-phase' });
  readonly #frags = element('div', { class: 'rank-frags number', text: '0' });
  readonly #rank = element('div', { class: 'rank-note' });
  readonly #hp = element('div', { class: 'vitals-number number', text: '' });
  readonly #hpBar = bar();
  readonly #vitals: HTMLElement;
  readonly #weapons: HTMLElement;
  readonly #ammo = element('div', { class: 'weapon-count number' });
  readonly #rockets = element('div', { class: 'weapon-count number' });
  readonly #dash = element('div', { class: 'weapon-count' });
  readonly #dashBar = bar();
  readonly #announcement = element('div', { class: 'announcement', role: 'status' });
  readonly #announcementNote = element('small');
  readonly #announcementText = document.createTextNode('');
  readonly #notice = element('div', { class: 'notice', role: 'alert' });
  #noticeEndsAtMs = 0;

  constructor(onScoreboard: () => void, onNetGraph: () => void) {
    this.#vitals = element('div', { class: 'vitals', role: 'group', 'aria-label': 'Health' }, [
      this.#hp,
      element('div', {}, [element('div', { class: 'vitals-label', text: 'Health' }), this.#hpBar.root]),
    ]);
    this.#weapons = element('div', { class: 'weapons', role: 'group', 'aria-label': 'Weapons' }, [
      element('div', { class: 'weapon' }, [
        this.#dash,
        element('div', { class: 'weapon-name', text: 'Dash' }),
        this.#dashBar.root,
      ]),
      element('div', { class: 'weapon' }, [this.#rockets, element('div', { class: 'weapon-name', text: 'Rockets' })]),
      element('div', { class: 'weapon' }, [this.#ammo, element('div', { class: 'weapon-name', text: 'Rifle' })]),
    ]);
    this.#announcement.append(this.#announcementText, this.#announcementNote);
    this.#announcement.hidden = true;
    this.#notice.hidden = true;
    const scores = element('button', {
      type: 'button',
      'aria-label': 'Scoreboard',
      title: 'Scoreboard (Tab)',
      text: '☰',
    });
    scores.addEventListener('click', () => {
      scores.blur();
      onScoreboard();
    });
    const net = element('button', { type: 'button', 'aria-label': 'Connection', title: 'Connection (N)', text: '∿' });
    net.addEventListener('click', () => {
      net.blur();
      onNetGraph();
    });
    this.root.append(
      element('div', { class: 'rank' }, [this.#frags, this.#rank]),
      element('div', { class: 'clock' }, [this.#time, this.#phase]),
      this.feed.root,
      element('div', { class: 'corner-buttons' }, [scores, net]),
      this.netGraph.root,
      this.#vitals,
      this.#weapons,
      this.#announcement,
      this.#notice,
      this.board.root,
    );
  }

  setVitals(vitals: Vitals | undefined): void {
    this.#vitals.hidden = vitals === undefined;
    this.#weapons.hidden = vitals === undefined;
    if (vitals === undefined) return;
    setText(this.#hp, `${vitals.hp}`);
    setPart(this.#hpBar.fill, vitals.hp / HP_MAX);
    this.#vitals.classList.toggle('is-low', vitals.hp < HP_LOW);
    setText(this.#ammo, `${vitals.ammo}`);
    this.#ammo.parentElement?.classList.toggle('is-empty', vitals.ammo === 0);
    setText(this.#rockets, `${vitals.rockets}`);
    this.#rockets.parentElement?.classList.toggle('is-empty', vitals.rockets === 0);
    setText(this.#dash, vitals.dash === 0 ? 'Ready' : `${(vitals.dash / 30).toFixed(1)} s`);
    setPart(this.#dashBar.fill, 1 - vitals.dash / DASH_COOLDOWN_TICKS);
  }

  /** @param secondsLeft negative while nothing counts down */
  setClock(phase: string, secondsLeft: number): void {
    setText(this.#phase, phase);
    const whole = Math.ceil(secondsLeft);
    const text = whole < 0 ? '–' : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
    setText(this.#time, text);
  }

  setRank(frags: number, note: string): void {
    setText(this.#frags, `${frags}`);
    setText(this.#rank, note);
  }

  /** Large words in the upper middle; an empty text takes them away. */
  announce(text: string, note = ''): void {
    this.#announcement.hidden = text === '';
    if (this.#announcementText.data !== text) this.#announcementText.data = text;
    setText(this.#announcementNote, note);
  }

  /** A sentence in a box. @param forMs how long, or Infinity until {@link clearNotice} */
  notice(text: string, nowMs: number, forMs: number): void {
    setText(this.#notice, text);
    this.#notice.hidden = false;
    this.#noticeEndsAtMs = nowMs + forMs;
  }

  clearNotice(): void {
    this.#notice.hidden = true;
  }

  refresh(nowMs: number): void {
    this.feed.refresh(nowMs);
    if (!this.#notice.hidden && nowMs >= this.#noticeEndsAtMs) this.clearNotice();
  }
}
