// The engine of the served page: the server that it came from.

async function classify(file, invert) {
  const headers = at("token")?.value ? {Authorization: `Bearer ${at("token").value}`} : {};
  const answer = await fetch(`classify?invert=${invert}&explain=${about.explains}`, {method: "POST", body: file, headers})
    .catch(() => { throw new Error("The server does not answer."); });
  if (answer.status === 401) askToken();
  const result = await answer.json();
  if (!answer.ok) throw new Error(result.error);
  return result;
}

function askToken() {
  if (!at("token")) {
    at("about").insertAdjacentHTML("afterend",
      '<p><label>The server\'s token <input type="password" id="token" autocomplete="off"></label></p>');
    at("token").addEventListener("change", () => give(given));
  }
  at("token").focus();
}
