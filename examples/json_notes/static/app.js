"use strict";

const at = (id) => document.getElementById(id);

/* Every answer is JSON. A refusal has `detail`, a sentence for the user, and `code`, for this program. */
async function send(path, data) {
  const options = data === undefined
    ? { headers: { Accept: "application/json" } }
    : {
        method: "POST",
        headers: { Accept: "application/json", "Content-Type": "application/json" },
        body: JSON.stringify(data),
      };
  const answer = await fetch(path, options);
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.detail), body);
  return body;
}

function show(user) {
  at("sign-in").hidden = Boolean(user);
  at("signed-in").hidden = !user;
  at("who").textContent = user ? user.name || user.email : "";
  at("message").textContent = "";
}

async function load() {
  const { notes } = await send("/api/notes");
  at("notes").replaceChildren(...notes.map((text) => {
    const line = document.createElement("li");
    line.textContent = text;
    return line;
  }));
}

async function greet(user) {
  show(user);
  await load();
}

/* A session can end at any time: by sign-out in another tab, by an administrator, or by its limit. */
async function tried(work) {
  try {
    await work();
  } catch (refusal) {
    if (refusal.code === "sign_in_required") show(null);
    else if (refusal.code === "password_change_required") location.href = "/-/auth/account/password?next=/";
    else if (refusal.code === "second_step_required") location.href = "/-/auth/account/security?next=/";
    else if (refusal.name === "NotAllowedError") at("message").textContent = "The passkey was not used.";
    else at("message").textContent = refusal.message;
  }
}

at("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  tried(async () => {
    const { user, next } = await send("/-/auth/login", { email: form.email.value, password: form.password.value });
    form.password.value = "";
    /* The second step is the middleware's own page. It leads back here. */
    if (!user) location.href = next;
    else await greet(user);
  });
});

at("with-passkey").hidden = !window.PublicKeyCredential?.parseRequestOptionsFromJSON;
at("with-passkey").addEventListener("click", () => tried(async () => {
  const { options } = await send("/-/auth/login/passkey");
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  const credential = JSON.stringify(await navigator.credentials.get({ publicKey }));
  const { user } = await send("/-/auth/login/passkey", { credential });
  await greet(user);
}));

at("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  tried(async () => {
    await send("/api/notes", { text: form.text.value });
    form.reset();
    await load();
  });
});

at("sign-out").addEventListener("click", () => tried(async () => {
  await send("/-/auth/logout", {});
  at("notes").replaceChildren();
  show(null);
}));

tried(async () => {
  const { user } = await send("/-/auth/session");
  await greet(user);
});
