// Sign-in by token, where tokens are in use.
import { useState } from "preact/hooks";
import { signIn } from "../core/session";
import { Title } from "../parts/parts";

export function SignIn() {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget as HTMLFormElement).get("token")).trim();
    setBusy(true);
    try {
      await signIn(token);
    } catch (error) {
      setProblem((error as Error).message);
    }
    setBusy(false);
  };
  return (
    <main class="page" tabIndex={-1}>
      <Title text="Sign in" />
      <form class="sign-in" onSubmit={(e) => void submit(e as unknown as SubmitEvent)}>
        <h1>Sign in</h1>
        <p>This server asks for a token. Who runs it makes one with <code>pawl token create</code>.</p>
        <label>Token <input name="token" type="password" autocomplete="current-password" required autofocus spellcheck={false} /></label>
        {problem && <p class="problem" role="alert">{problem}</p>}
        <button class="primary" disabled={busy}>Sign in</button>
      </form>
    </main>
  );
}
