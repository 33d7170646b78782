extension WebFile {
    /// `clients/console/page-topics.js`, put here by `make web`.
    static let pageOfTopics = WebFile("text/javascript; charset=utf-8", tag: "bfc56148052f0bfd7739") {
        #"""

        import{$,age,ask,button,bytes,clean,difference,dump,element,fact,foreign,payload,plot,pretty}from"./page-kit.js";
        const rowHeight=26,openAtFirst=300,logged=100,plotted=300,shown=2000;
        class Node{children=new Map();
        sorted=null;
        isOpen=false;
        count=0;
        counted=0;
        ticked=0;
        rate=0;
        constructor(name,parent){Object.assign(this,{name,parent,level:parent?parent.level+1:0});
        this.topic=parent?.parent?`${parent.topic}/${name}`:name;
        }
        }
        export class Topics{#a=new Node("",null);
        #b=new Map();
        #c=0;
        #d=[];
        #e=false;
        #f=false;
        #g=false;
        #h=[];
        #i=null;
        #j="auto";
        #k=[];
        #l=null;
        #m=1;
        #n=0;
        constructor(console){this.console=console;
        const tree=$("tree");
        tree.addEventListener("scroll",()=>this.#o());
        tree.addEventListener("keydown",(event)=>this.#p(event));
        tree.addEventListener("click",({target})=>{const node=target.closest?.("[role=treeitem]")?.node;
        if(!node)return;
        if(node===this.#i||target.className==="mark")this.#q(node);
        this.#r(node);
        });
        new ResizeObserver(()=>this.#o()).observe(tree);
        setInterval(()=>{this.#m++;
        for(const{node}of this.#k){if(!node)continue;
        node.rate=node.ticked===this.#m-1?node.count-node.counted:0;
        [node.ticked,node.counted]=[this.#m,node.count];
        }
        this.#o();
        },1000);
        $("pause").onclick=()=>this.pause();
        $("publish").onsubmit=(event)=>{event.preventDefault();
        this.#s(event.target);
        };
        }
        clear(){this.#a.children.clear();
        this.#b.clear();
        [this.#c,this.#a.sorted,this.#e]=[0,null,true];
        this.#r(null);
        this.#o();
        }
        pause(){this.#g=!this.#g;
        $("pause").setAttribute("aria-pressed",this.#g);
        $("pause").textContent=this.#g?"Go on":"Pause";
        if(this.#g)return;
        for(const message of this.#h.splice(0))this.take(message);
        }
        take(message){if(this.#g){if(this.#h.push(message)>20000)this.#h.splice(0,10000);
        return;
        }
        const node=this.#b.get(message.topic)??this.#t(message.topic);
        if(message.removed)node.isRetained=false;
        else if(message.retained||message.retain)node.isRetained=true;
        node.before=node.message;
        node.message=message;
        node.text=undefined;
        for(let up=node;up;up=up.parent)up.count++;
        if(node===this.#i){node.log.unshift(message);
        if(node.log.length>plotted)node.log.length=plotted;
        this.#l=null;
        }
        this.#o();
        }
        #t(topic){let node=this.#a;
        for(const name of topic.split("/")){let child=node.children.get(name);
        if(!child){child=new Node(name,node);
        node.children.set(name,child);
        node.sorted=null;
        child.isOpen=++this.#c<=openAtFirst&&topic[0]!=="$";
        this.#e=true;
        }
        node=child;
        }
        this.#b.set(topic,node);
        return node;
        }
        #o(){if(this.#f)return;
        this.#f=true;
        requestAnimationFrame(()=>{this.#f=false;
        if(!$("topics").hidden)this.#u();
        });
        }
        #v(){const flat=[];
        const add=(node)=>{node.sorted??=[...node.children.values()].sort((a,b)=>(a.name<b.name?-1:1));
        for(const child of node.sorted){child.place=flat.length;
        flat.push(child);
        if(child.isOpen&&child.children.size)add(child);
        }
        };
        add(this.#a);
        this.#d=flat;
        this.#e=false;
        $("rows").style.height=`${flat.length*rowHeight}px`;
        }
        #u(){if(this.#e)this.#v();
        const tree=$("tree"),first=Math.floor(tree.scrollTop/rowHeight);
        const count=Math.min(Math.ceil(tree.clientHeight/rowHeight)+1,this.#d.length-first);
        while(this.#k.length<count)this.#k.push(this.#w());
        const now=Date.now()+this.console.skew;
        this.#k.forEach((row,at)=>{const node=at<count?this.#d[first+at]:undefined;
        row.hidden=!node;
        if(node!==row.node)row.node=node;
        if(node)this.#x(row,node,first+at,now);
        });
        if(this.#l===this.#i)return;
        if(this.#l===undefined||performance.now()-this.#n>200)this.#y();
        else setTimeout(()=>this.#o(),200);
        }
        #w(){const parts=["mark","name","value","count","age"].map((className)=>element(className==="name"?"bdi":"span",{className}));
        const row=element("div",{role:"treeitem",parts},parts);
        $("rows").append(row);
        return row;
        }
        #x(row,node,place,now){const[mark,name,value,count,time]=row.parts,{message}=node;
        const set=(part,text)=>part.textContent!==text&&(part.textContent=text);
        row.style.transform=`translateY(${place*rowHeight}px)`;
        row.style.paddingLeft=`${Math.min(node.level-1,12)*0.9}rem`;
        row.id=`row-${place}`;
        row.ariaLevel=node.level;
        row.ariaExpanded=node.children.size?String(node.isOpen):null;
        row.ariaSelected=String(node===this.#i);
        row.classList.toggle("retained",Boolean(node.isRetained));
        set(mark,node.children.size?(node.isOpen?"▾":"▸"):"");
        set(name,clean(node.name)||"(empty)");
        node.text??=message?(message.removed?"removed":clean(payload(message,shown))):node.isOpen?"":`${node.children.size} below`;
        set(value,message||!node.isOpen?node.text:"");
        set(count,node.rate?`${node.count} · ${node.rate}/s`:String(node.count));
        set(time,message?age(now-message.time):"");
        if(node===this.#i)$("tree").setAttribute("aria-activedescendant",row.id);
        }
        #p(event){const node=this.#i,place=node?node.place:-1;
        const to={ArrowDown:()=>this.#d[place+1],ArrowUp:()=>this.#d[Math.max(0,place-1)],Home:()=>this.#d[0],End:()=>this.#d.at(-1),ArrowRight:()=>(node?.children.size&&!node.isOpen?(this.#q(node),node):node?.sorted?.[0]),ArrowLeft:()=>(node?.isOpen&&node.children.size?(this.#q(node),node):node?.parent?.parent&&node.parent),Enter:()=>(node&&this.#q(node),node),}[event.key]?.();
        if(!to)return;
        event.preventDefault();
        this.#r(to);
        const tree=$("tree"),top=to.place*rowHeight;
        if(top<tree.scrollTop)tree.scrollTop=top;
        else if(top+rowHeight>tree.scrollTop+tree.clientHeight)tree.scrollTop=top+rowHeight-tree.clientHeight;
        }
        #q(node){node.isOpen=!node.isOpen;
        if(!node.message)node.text=undefined;
        this.#e=true;
        this.#o();
        }
        #r(node){if(node===this.#i&&node)return;
        if(this.#i)this.#i.log=undefined;
        this.#i=node;
        this.#l=undefined;
        if(node){node.log=node.message?[node.message]:[];
        $("publish").topic.value=node.topic;
        this.#z(node);
        }
        this.#o();
        }
        async #z(node){if(!node.message)return;
        const answer=await this.console.fetch(`s/${this.console.path(node.topic)}?since=-${logged}&snapshot=false&poll=1`);
        if(!answer?.ok||node!==this.#i)return;
        const lines=(await answer.text()).split("\n").filter((line)=>line.trim());
        const kept=lines.map(this.console.parse).filter((message)=>message.topic===node.topic).reverse();
        const oldest=Math.min(...node.log.map((message)=>message.seq));
        node.log.push(...kept.filter((message)=>message.seq<oldest).map(this.console.decode));
        this.#l=null;
        this.#o();
        }
        #y(){const node=(this.#l=this.#i),inspector=$("inspector");
        this.#n=performance.now();
        if(!node)return inspector.replaceChildren(element("p",{className:"faint",textContent:"Choose a topic to see its messages."}));
        const{message,before,topic,log}=node;
        const head=element("h2",{},foreign(topic));
        const below=node.children.size&&button("Delete all below",()=>this.#A(topic));
        if(!message)return inspector.replaceChildren(head,element("p",{textContent:`Levels below: ${node.children.size}. Messages: ${node.count}.`}),below);
        const text=payload(message),isBytes=message.data instanceof Uint8Array;
        const facts=[["seq",message.seq],["time",new Date(message.time).toLocaleString()],["type",message.type],["size",bytes(isBytes?message.data.length:new TextEncoder().encode(text).length)],["expires",message.expires&&new Date(message.expires).toLocaleString()],["headers",message.headers&&JSON.stringify(message.headers)],["reply to",message.replyTo],["state",message.expired?"expired":message.removed?"removed":node.isRetained&&"retained"]];
        const list=element("dl",{},...facts.filter(([,value])=>value!==undefined&&value!==false).flatMap(fact));
        const views=element("p",{className:"actions"},...["auto","raw","hex","diff"].map((view)=>button(view,()=>((this.#j=view),(this.#l=undefined),this.#o()),{ariaPressed:String(view===this.#j)})));
        const actions=element("p",{className:"actions"},button("Edit",()=>this.edit(),{disabled:isBytes}),button("Delete",()=>this.#B()),below,...["curl","brokerctl","JS"].map((as)=>button(`Copy ${as}`,(event)=>this.#C(as,event.target))));
        const focused=inspector.contains(document.activeElement)?[...inspector.querySelectorAll("button")].indexOf(document.activeElement):-1;
        const numbers=log.map(({data})=>(typeof data==="number"?data:typeof data==="string"&&data.trim()?Number(data):NaN)).filter(Number.isFinite).reverse();
        const canvas=numbers.length>1&&element("canvas",{role:"img",ariaLabel:`${numbers.length} numbers, the last ${numbers.at(-1)}`});
        const rows=log.slice(0,logged).map((one)=>element("tr",{},...[one.seq,new Date(one.time).toLocaleTimeString()].map((textContent)=>element("td",{textContent})),element("td",{},foreign(one.removed?"removed":payload(one,200)))));
        inspector.replaceChildren(...[head,list,views,this.#D(message,before,text),actions,canvas,element("table",{},element("tbody",{},...rows))].filter(Boolean));
        if(canvas)plot(canvas,numbers);
        if(focused>=0)inspector.querySelectorAll("button")[focused]?.focus();
        }
        #D(message,before,text){if(message.removed)return element("p",{className:"faint",textContent:"There is no value."});
        const isBytes=message.data instanceof Uint8Array;
        if(this.#j==="diff")return before&&!before.removed?difference(pretty(payload(before)),pretty(text)):element("p",{className:"faint",textContent:"There is no message before."});
        if(this.#j==="hex")return element("pre",{textContent:dump(message)});
        if(isBytes&&this.#j==="auto"&&/^image\/(png|jpeg|gif|webp|avif)$/.test(message.type)){let raw="";
        for(const byte of message.data)raw+=String.fromCharCode(byte);
        return element("img",{src:`data:${message.type};base64,${btoa(raw)}`,alt:"the payload, an image"});
        }
        const isJSON=typeof message.data!=="string"||/json/.test(message.type??"");
        return element("pre",{textContent:clean(this.#j==="auto"&&isJSON&&!isBytes?pretty(text):text)});
        }
        async edit(){const node=this.#i,base=node?.message;
        if(!base||base.data instanceof Uint8Array)return;
        let[mine,seq]=[base.removed?"":payload(base),base.removed?0:base.seq],note=[];
        for(;;){const area=element("textarea",{name:"data",rows:12,ariaLabel:"value",value:mine,spellcheck:false});
        const found=await ask(`Edit ${clean(node.topic)}`,[...note,area],"Save");
        if(!found)return;
        mine=found.data;
        const type=base.type??(typeof base.data==="string"?"text/plain":"application/json");
        const headers={"Content-Type":type,...(seq?{"If-Match":`"${seq}"`}:{"If-None-Match":"*"})};
        const answer=await this.console.fetch(`t/${this.console.path(node.topic)}?retain`,{method:"PUT",body:mine,headers});
        if(answer?.ok)return this.console.say(`saved ${node.topic}`);
        if(answer?.status!==412)return this.console.refused(answer);
        const now=await this.console.fetch(`t/${this.console.path(node.topic)}`);
        seq=Number(/\d+/.exec(now?.headers.get("ETag")??"")?.[0]??0);
        const theirs=now?.ok?await now.text():"";
        note=[element("p",{textContent:"It was changed meanwhile: − is theirs, + is yours. Saving again replaces it."}),difference(pretty(theirs),pretty(mine))];
        }
        }
        async #B(){const{topic}=this.#i;
        if(!(await ask("Delete the retained value?",[element("p",{},foreign(topic))],"Delete")))return;
        const answer=await this.console.fetch(`t/${this.console.path(topic)}`,{method:"DELETE"});
        if(answer?.ok)this.console.say(`deleted ${topic}`);
        else this.console.refused(answer);
        }
        async #A(topic){const filter=`${topic}/#`,remove=(dryRun)=>this.console.admin("retained.delete",{filter,dryRun});
        try{const{result:{matching}}=await remove(true);
        if(!(await ask(`Delete ${matching} retained values?`,[element("p",{},foreign(filter))],"Delete")))return;
        this.console.say(`deleted ${(await remove(false)).result.deleted} of ${filter}`);
        }catch({message}){this.console.say(message,true);
        }
        }
        #C(as,from){const{topic,message}=this.#i;
        const quoted=(text)=>`'${text.replaceAll("'","'\\''")}'`;
        const data=message.data instanceof Uint8Array?"":payload(message),kept=this.#i.isRetained;
        const text={curl:`curl -X PUT ${message.type?`-H ${quoted(`Content-Type: ${message.type}`)} `:""}--data-binary ${quoted(data)} ${quoted(new URL(`t/${this.console.path(topic)}${kept?"?retain":""}`,this.console.base).href)}`,brokerctl:`brokerctl pub ${quoted(topic)} ${quoted(data)}${kept?" --retain":""}`,JS:`await broker.publish(${JSON.stringify(topic)}, ${typeof message.data==="string"?JSON.stringify(data):data}${kept?", { retain: true }":""});`,}[as];
        const done=(word)=>{from.textContent=word;
        setTimeout(()=>(from.textContent=`Copy ${as}`),1500);
        };
        if(navigator.clipboard)navigator.clipboard.writeText(text).then(()=>done("Copied"),()=>done("Not allowed"));
        else ask(`As ${as}`,[element("textarea",{rows:4,readOnly:true,value:text,ariaLabel:as})],"Close");
        }
        async #s(form){const topic=form.topic.value,retain=form.retain.checked,ttl=Number(form.ttl.value)||undefined;
        const file=form.file.files[0],format=form.format.value;
        if(format==="text"&&!file)return this.console.publish(topic,form.data.value,{retain,ttl});
        let body=file,type=file?.type||"application/octet-stream";
        if(!file){try{if(format==="JSON")[type,body]=["application/json",(JSON.parse(form.data.value),form.data.value)];
        else body=Uint8Array.from(atob(form.data.value),(letter)=>letter.charCodeAt());
        }catch(error){return this.console.say(`not ${format}: ${error.message}`,true);
        }
        }
        const query=new URLSearchParams({...(retain&&{retain:true}),...(ttl&&{ttl})});
        const answer=await this.console.fetch(`t/${this.console.path(topic)}?${query}`,{method:"POST",body,headers:{"Content-Type":type}});
        if(!answer?.ok)return this.console.refused(answer);
        form.file.value="";
        this.console.say(`published ${topic}, seq ${(await answer.json()).seq}`);
        }
        }

        """#
    }
}
