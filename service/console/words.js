/** Two sentences side by side: which words were exchanged, and which the model has never seen. */

const WORD = /[\p{L}\p{N}'’-]+/gu;

export const wordsOf = (sentence) => sentence.toLowerCase().match(WORD) ?? [];

/**
 * What distinguishes the second sentence from the first, by their longest common run of words.
 *
 * @returns {{removed: string[], added: string[], parts: {word: string, change: ""|"removed"|"added"}[]}}
 */
export function difference(source, target) {
  const [old, now] = [source.match(WORD) ?? [], target.match(WORD) ?? []];
  const same = (i, j) => old[i].toLowerCase() === now[j].toLowerCase();
  const longest = Array.from({ length: old.length + 1 }, () => new Array(now.length + 1).fill(0));
  for (let i = old.length - 1; i >= 0; i--) {
    for (let j = now.length - 1; j >= 0; j--) {
      longest[i][j] = same(i, j) ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  const parts = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && same(i, j)) {
      parts.push({ word: now[j++], change: "" });
      i++;
    } else if (j === now.length || (i < old.length && longest[i + 1][j] >= longest[i][j + 1]))
      parts.push({ word: old[i++], change: "removed" });
    else parts.push({ word: now[j++], change: "added" });
  }
  const changed = (change) => parts.filter((part) => part.change === change).map(({ word }) => word);
  return { removed: changed("removed"), added: changed("added"), parts };
}

/** The words of a sentence that a model with a known vocabulary was never shown. */
export function unknownWords(sentence, model) {
  const known = model?.known_words;
  return known ? [...new Set(wordsOf(sentence).filter((word) => !known.includes(word)))] : [];
}
