// Calls of the API: errors are the server's own words.

export class Refused extends Error {
  constructor(problem) {
    super(problem.detail || "The server did not answer as expected.");
    this.problem = problem;
  }
}

function headers(extra) {
  const token = sessionStorage.getItem("rupantara-token");
  return token ? { ...extra, Authorization: `Bearer ${token}` } : extra;
}

async function checked(answer) {
  if (answer.ok) return answer;
  let problem = { status: answer.status, detail: `The server answered ${answer.status}.` };
  if ((answer.headers.get("content-type") || "").includes("json")) problem = await answer.json();
  throw new Refused(problem);
}

export async function get(path) {
  return (await checked(await fetch(path, { headers: headers({}) }))).json();
}

export async function post(path, body, { accept = "application/json", signal } = {}) {
  const json = { "Content-Type": "application/json", Accept: accept };
  return checked(await fetch(path, { method: "POST", headers: headers(json), body: JSON.stringify(body), signal }));
}

export async function postForm(path, form) {
  const answer = await fetch(path, { method: "POST", headers: headers({ Accept: "application/json" }), body: form });
  return (await checked(answer)).json();
}

export const shown = (picture) => `data:${picture.media_type};base64,${picture.picture}`;
