//! The seven services and their replicas.

use leptos::prelude::*;
use planaria_proto::monitoring::v1::ServiceHealth;

use crate::ui::{Badge, Tone, When};

#[component]
pub(super) fn Services(services: Memo<Vec<ServiceHealth>>) -> impl IntoView {
    let rows = move || {
        services
            .get()
            .into_iter()
            .map(|service| {
                let replicas = service
                    .replicas
                    .into_iter()
                    .map(|replica| {
                        let (tone, word) = if replica.serving {
                            (Tone::Good, "serving")
                        } else {
                            (Tone::Bad, "down")
                        };
                        view! {
                            <li>
                                <span class="mono">{replica.address}</span>
                                <Badge tone=tone text=word />
                                <span class="faint since"><When at=replica.since /></span>
                                {(!replica.detail.is_empty()).then(|| view! {
                                    <span class="detail">{replica.detail}</span>
                                })}
                            </li>
                        }
                    })
                    .collect_view();
                view! {
                    <tr>
                        <th scope="row">{service.name}</th>
                        <td><ul class="replicas">{replicas}</ul></td>
                    </tr>
                }
            })
            .collect_view()
    };
    view! {
        <section class="card">
            <h2>"Services"</h2>
            <table class="services"><tbody>{rows}</tbody></table>
        </section>
    }
}
