// Sends the form of the page to the REST API as JSON, with what stands behind # when the page is a mail's.
"use strict";
const form = document.getElementById("account");
const answer = document.getElementById("answer");
const link = window.location.hash.slice(1);
if (form.dataset.link && !link) {
  answer.textContent = "The link is not whole. Copy all of it from the mail.";
  form.querySelector("button").disabled = true;
}
// Out of the history and of what is shown on the screen.
history.replaceState(null, "", window.location.pathname);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  const body = Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));
  if (form.dataset.link) body.link = link;
  try {
    const response = await fetch(form.dataset.action, {
      method: "POST",
      credentials: "omit",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    const content = text ? JSON.parse(text) : {};
    if (response.ok) {
      form.hidden = true;
      answer.textContent = content.message || "Done.";
    } else {
      answer.textContent = `${content.error.message} ${content.error.remedy}`;
      button.disabled = false;
    }
  } catch {
    answer.textContent = "The server did not answer. Try again.";
    button.disabled = false;
  }
});
